"""Calls on a host, in the notation of `kinds`."""

NODES = r"""
GET /nodes/{node}
GET /nodes/{node}/status
GET /nodes/{node}/version
GET /nodes/{node}/time
GET /nodes/{node}/dns
GET /nodes/{node}/lxc
GET /nodes/{node}/network
  type NETWORKS
GET /nodes/{node}/network/{iface}
GET /nodes/{node}/hardware
GET /nodes/{node}/hardware/pci
  pci-class-blacklist @text*
  verbose bool
GET /nodes/{node}/capabilities
GET /nodes/{node}/capabilities/qemu
GET /nodes/{node}/capabilities/qemu/cpu
  arch x86_64|aarch64
GET /nodes/{node}/capabilities/qemu/machines
  arch x86_64|aarch64
GET /nodes/{node}/storage
  content @content*
  enabled bool
  format bool
  storage @storage
  target @node
GET /nodes/{node}/storage/{storage}
GET /nodes/{node}/storage/{storage}/status
GET /nodes/{node}/storage/{storage}/content
  content @content
  vmid int @vm 100..999999999
GET /nodes/{node}/storage/{storage}/content/{volume}
PUT /nodes/{node}/storage/{storage}/content/{volume}
  notes str
  protected bool
DELETE /nodes/{node}/storage/{storage}/content/{volume}
  delay int 1..30
POST /nodes/{node}/storage/{storage}/upload
  content iso|vztmpl|import !
  filename str <=255 !
  checksum str needs:checksum-algorithm
  checksum-algorithm md5|sha1|sha224|sha256|sha384|sha512 needs:checksum
  tmpfilename /\/var\/tmp\/pveupload-[0-9a-f]+/
POST /nodes/{node}/storage/{storage}/download-url
  url /https?://.*/ !
  content iso|vztmpl|import !
  filename str <=255 !
  checksum str needs:checksum-algorithm
  checksum-algorithm md5|sha1|sha224|sha256|sha384|sha512 needs:checksum
  compression str
  verify-certificates bool
GET /nodes/{node}/query-url-metadata
  url /https?://.*/ !
  verify-certificates bool
GET /nodes/{node}/tasks
  errors bool
  limit int 0..
  since int
  source archive|active|all
  start int 0..
  statusfilter @task-status*
  typefilter str
  until int
  userfilter str
  vmid int @vm 100..999999999
GET /nodes/{node}/tasks/{upid}
DELETE /nodes/{node}/tasks/{upid}
GET /nodes/{node}/tasks/{upid}/status
GET /nodes/{node}/tasks/{upid}/log
  download bool
  limit int 0..
  start int 0..
POST /nodes/{node}/vzdump
  all bool
  bwlimit int 0..
  compress 0|1|gzip|lzo|zstd
  dumpdir str
  exclude @vm*
  exclude-path array
  fleecing str
  ionice int 0..8
  job-id /\S+/ <=50
  lockwait int 0..
  mailnotification always|failure
  mailto str
  maxfiles int 1..
  mode snapshot|suspend|stop
  notes-template str <=1024 needs:storage
  notification-mode auto|legacy-sendmail|notification-system
  pbs-change-detection-mode legacy|data|metadata
  performance str
  pigz int
  pool str
  protected bool needs:storage
  prune-backups @backup-list
  quiet bool
  remove bool
  script str
  stdexcludes bool
  stdout bool
  stop bool
  stopwait int 0..
  storage @storage
  tmpdir str
  vmid @vm*
  zstd int
""".replace(
    "NETWORKS",
    "bridge|bond|eth|alias|vlan|fabric|OVSBridge|OVSBond|OVSPort|OVSIntPort|vnet|any_bridge|any_local_bridge|"
    "include_sdn",
)
