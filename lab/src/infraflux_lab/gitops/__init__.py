"""What GitOps needs around the lab's clusters: charts and Git over HTTP, real Argo CD processes, stand-ins.

The install stays the user's: nothing here creates an Argo CD. When one was installed into a lab cluster, its workloads
get real processes; what other pods would have done is set by stand-ins and marked as simulated.
"""
