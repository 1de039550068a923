# What the clusters of one environment share: its resource pool and the Talos images on every host.

locals {
  # A flat map keyed "<host>/<file>": a new host or a new image adds entries and moves none.
  downloads = {
    for pair in setproduct(var.hosts, keys(var.images)) : "${pair[0]}/${pair[1]}" => {
      host = pair[0]
      file = pair[1]
    }
  }
}

resource "proxmox_virtual_environment_pool" "this" {
  for_each = var.pools

  pool_id = each.key
  comment = each.value
}

# Each host fetches the image itself: no SSH, nothing passes through this machine.
resource "proxmox_download_file" "image" {
  for_each = local.downloads

  node_name    = each.value.host
  datastore_id = var.images[each.value.file].storage
  content_type = "import"
  file_name    = each.value.file
  url          = var.images[each.value.file].url

  checksum           = var.images[each.value.file].sha256
  checksum_algorithm = var.images[each.value.file].sha256 == null ? null : "sha256"

  # The file name holds version and schematic, so the content never changes: a factory that reports another size
  # (it compresses anew) must not make every host fetch the image again.
  overwrite = false
  # A file that an interrupted run left behind is replaced, not tripped over.
  overwrite_unmanaged = true
  upload_timeout      = var.download_timeout_s
}
