"""Calls on the cluster, pools, storages and access, in the notation of `kinds`."""

CLUSTER = """
GET /cluster/resources
  type vm|storage|node|sdn
GET /cluster/nextid
  vmid int @vm 100..999999999
GET /cluster/config/nodes
GET /cluster/backup-info/not-backed-up
GET /cluster/ha/status/current
GET /cluster/ha/groups
GET /cluster/ha/resources
  type ct|vm
POST /cluster/ha/resources
  sid @resource-or-vm-id !
  type ct|vm
  group @config-id
  state started|stopped|enabled|disabled|ignored
  comment str <=4096
  failback bool
  max_relocate int 0..
  max_restart int 0..
GET /cluster/ha/resources/{sid}
PUT /cluster/ha/resources/{sid}
  group @config-id
  state started|stopped|enabled|disabled|ignored
  comment str <=4096
  failback bool
  max_relocate int 0..
  max_restart int 0..
  delete @config-id* <=4096
  digest str <=64
DELETE /cluster/ha/resources/{sid}
  purge bool
POST /cluster/ha/resources/{sid}/migrate
  node @node !
GET /cluster/ha/rules
  type node-affinity|resource-affinity
  resource str
POST /cluster/ha/rules
  rule @config-id !
  type node-affinity|resource-affinity !
  resources @resource-id* !
  nodes @ha-node*
  strict bool
  affinity positive|negative
  comment str <=4096
  disable bool
GET /cluster/ha/rules/{rule}
PUT /cluster/ha/rules/{rule}
  type node-affinity|resource-affinity !
  resources @resource-id*
  nodes @ha-node*
  strict bool
  affinity positive|negative
  comment str <=4096
  disable bool
  delete @config-id* <=4096
  digest str <=64
DELETE /cluster/ha/rules/{rule}
GET /cluster/mapping/pci
  check-node @node
POST /cluster/mapping/pci
  id @config-id !
  map array {pci-map} !
  description str <=4096
  live-migration-capable bool
  mdev bool
GET /cluster/mapping/pci/{id}
DELETE /cluster/mapping/pci/{id}
GET /pools
  poolid @pool
  type qemu|lxc|storage needs:poolid
POST /pools
  poolid @pool !
  comment str
PUT /pools
  poolid @pool !
  comment str
  vms @vm*
  storage @storage*
  delete bool
  allow-move bool
DELETE /pools
  poolid @pool !
GET /pools/{poolid}
  type qemu|lxc|storage
PUT /pools/{poolid}
  comment str
  vms @vm*
  storage @storage*
  delete bool
  allow-move bool
DELETE /pools/{poolid}
GET /storage
  type btrfs|cephfs|cifs|dir|esxi|iscsi|iscsidirect|lvm|lvmthin|nfs|pbs|rbd|zfs|zfspool
GET /storage/{storage}
"""
ACCESS = r"""
POST /access/ticket
  username str <=64 !
  password str !
  realm @realm <=32
  otp str
  path str <=64 needs:privs
  privs @privilege* <=64 needs:path
  new-format bool
  tfa-challenge str
GET /access/permissions
  path str
  userid /[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+(?:![A-Za-z][A-Za-z0-9.\-_]+)?/
GET /access/users
  enabled bool
  full bool
POST /access/users
  userid @user <=64 !
  password str >=8 <=64
  comment str <=2048
  email @email <=254
  enable bool
  expire int 0..
  firstname str <=1024
  lastname str <=1024
  groups @group*
  keys /[0-9a-zA-Z!=]{0,4096}/
GET /access/users/{userid}
PUT /access/users/{userid}
  comment str <=2048
  email @email <=254
  enable bool
  expire int 0..
  firstname str <=1024
  lastname str <=1024
  groups @group*
  append bool needs:groups
  keys /[0-9a-zA-Z!=]{0,4096}/
DELETE /access/users/{userid}
GET /access/users/{userid}/token
GET /access/users/{userid}/token/{tokenid}
POST /access/users/{userid}/token/{tokenid}
  comment str
  expire int 0..
  privsep bool
PUT /access/users/{userid}/token/{tokenid}
  comment str
  expire int 0..
  privsep bool
  delete @config-id*
DELETE /access/users/{userid}/token/{tokenid}
GET /access/acl
PUT /access/acl
  path str !
  roles @role* !
  users @user*
  groups @group*
  tokens @token*
  propagate bool
  delete bool
GET /access/roles
POST /access/roles
  roleid @role !
  privs @privilege*
GET /access/roles/{roleid}
PUT /access/roles/{roleid}
  privs @privilege*
  append bool needs:privs
DELETE /access/roles/{roleid}
GET /access/groups
POST /access/groups
  groupid @group !
  comment str
GET /access/groups/{groupid}
PUT /access/groups/{groupid}
  comment str
DELETE /access/groups/{groupid}
"""
