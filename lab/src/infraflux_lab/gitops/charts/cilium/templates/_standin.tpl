{{/*
A workload with the real chart's name and labels; its pods do nothing (the lab's nodes only pretend to run them).
Takes: root, kind, name, app; optional replicas, image, component, params (a ConfigMap whose keys become variables), env,
initContainers, extraContainers, volumes.
*/}}
{{- define "standin.workload" -}}
apiVersion: apps/v1
kind: {{ .kind }}
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "standin.labels" . | nindent 4 }}
spec:
  {{- if ne .kind "DaemonSet" }}
  replicas: {{ .replicas | default 1 | int }}
  {{- end }}
  {{- if eq .kind "StatefulSet" }}
  serviceName: {{ .name }}
  {{- end }}
  selector:
    matchLabels: {{- include "standin.selector" . | nindent 6 }}
  template:
    metadata:
      labels: {{- include "standin.labels" . | nindent 8 }}
    spec:
      serviceAccountName: {{ .name }}
      # What Pod Security "restricted" asks for, as the real charts do.
      securityContext:
        runAsNonRoot: true
        seccompProfile:
          type: RuntimeDefault
      {{- if eq .kind "DaemonSet" }}
      tolerations:
        - operator: Exists
      {{- end }}
      {{- with .initContainers }}
      initContainers: {{- tpl (toYaml .) $.root | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ .app }}
          image: {{ .image | default "registry.k8s.io/pause:3.10" }}
          securityContext:
            allowPrivilegeEscalation: false
            capabilities:
              drop: [ALL]
          {{- with .resources }}
          resources: {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with .params }}
          envFrom:
            - configMapRef:
                name: {{ . }}
                optional: true
          {{- end }}
          {{- with .env }}
          env: {{- toYaml . | nindent 12 }}
          {{- end }}
        {{- with .extraContainers }}
        {{- tpl (toYaml .) $.root | nindent 8 }}
        {{- end }}
      {{- with .volumes }}
      volumes: {{- tpl (toYaml .) $.root | nindent 8 }}
      {{- end }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "standin.labels" . | nindent 4 }}
{{- end -}}

{{- define "standin.selector" -}}
app.kubernetes.io/name: {{ .app }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{- define "standin.labels" -}}
{{ include "standin.selector" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: {{ .partOf | default .root.Chart.Name }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
infraflux.io/simulated: "true"
{{- range $key, $value := .labels }}
{{ $key }}: {{ $value }}
{{- end }}
{{- end -}}
