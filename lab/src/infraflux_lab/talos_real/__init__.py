"""Real Talos nodes as the lab's machines: machined in its container mode, in namespaces of its own, without Docker."""
