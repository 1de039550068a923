# A config management plugin beside the repo server: encrypted Secrets of the application repository are opened there,
# with the identity that InfraFlux delivers as Secret `sops-age`. https://argo-cd.readthedocs.io/en/stable/operator-manual/config-management-plugins/
locals {
  sops_restricted = {
    runAsNonRoot             = true
    runAsUser                = 999
    readOnlyRootFilesystem   = true
    allowPrivilegeEscalation = false
    capabilities             = { drop = ["ALL"] }
    seccompProfile           = { type = "RuntimeDefault" }
  }

  sops_plugin = var.secret_management != "sops-age" ? null : {
    create = true
    plugins = { sops = {
      # Only directories that hold such files pass through here; every other source is rendered as before.
      discover = { find = { glob = "*.sops.yaml" } }
      generate = { command = ["sh", "-c"], args = [file("${path.module}/sops-generate.sh")] }
    } }
  }

  sops_sidecar = var.secret_management != "sops-age" ? null : {
    initContainers = [{
      name            = "sops-program"
      image           = var.sops_image
      command         = ["cp", "/usr/local/bin/sops", "/tools/sops"]
      securityContext = local.sops_restricted
      volumeMounts    = [{ name = "sops-tools", mountPath = "/tools" }]
    }]
    extraContainers = [{
      name    = "sops"
      command = ["/var/run/argocd/argocd-cmp-server"]
      # The chart renders this as a template: the same image as the repo server, which has kustomize.
      image           = "{{ .Values.global.image.repository }}:{{ .Values.global.image.tag }}"
      env             = [{ name = "SOPS_AGE_KEY_FILE", value = "/sops-age/keys.txt" }]
      securityContext = local.sops_restricted
      volumeMounts = [
        { name = "var-files", mountPath = "/var/run/argocd" },
        { name = "plugins", mountPath = "/home/argocd/cmp-server/plugins" },
        { name = "sops-plugin", mountPath = "/home/argocd/cmp-server/config/plugin.yaml", subPath = "sops.yaml" },
        { name = "sops-tools", mountPath = "/usr/local/bin/sops", subPath = "sops" },
        { name = "sops-age", mountPath = "/sops-age", readOnly = true },
        { name = "sops-tmp", mountPath = "/tmp" },
      ]
    }]
    volumes = [
      { name = "sops-plugin", configMap = { name = "argocd-cmp-cm" } },
      { name = "sops-tools", emptyDir = {} },
      { name = "sops-age", secret = { secretName = "sops-age" } },
      # In memory: decrypted files never reach a disk.
      { name = "sops-tmp", emptyDir = { medium = "Memory" } },
    ]
  }
}
