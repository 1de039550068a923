"""Which parameters each Proxmox call takes and which values they may have, written down by us.

`calls` and `options` are the table, `kinds` its notation, `formats` the named text formats, `check` the one checker,
which stands in front of every handler. Sources: the API viewer of Proxmox VE 9.1 and the manual pages
qm.conf(5), qm(1), pvesm(1), pveum(1), ha-manager(1) and vzdump(1), all at https://pve.proxmox.com/pve-docs/. The order
of the tests and the words of an answer follow what Proxmox answers to a wrong call.
"""
