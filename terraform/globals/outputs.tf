output "images" {
  description = "Volume ids of the images by \"<host>/<file>\""
  value       = { for key, image in proxmox_download_file.image : key => image.id }
}

output "pools" {
  description = "Resource pools made here"
  value       = [for pool in proxmox_virtual_environment_pool.this : pool.pool_id]
}
