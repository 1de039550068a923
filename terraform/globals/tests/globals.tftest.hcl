mock_provider "proxmox" {}

variables {
  environment = "dev"
  proxmox     = { endpoint = "https://127.0.0.1:8006", insecure = false }
  pools       = { infraflux-dev = "Environment dev" }
  hosts       = ["pve1", "pve2"]
  images = {
    "talos-v1.13.9-376567988ad3-nocloud-amd64.raw" = { url = "https://factory.talos.dev/a.raw", storage = "local" }
    "talos-v1.12.0-376567988ad3-nocloud-amd64.raw" = {
      url    = "https://factory.talos.dev/b.raw", storage = "local"
      sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
  }
}

run "every_host_gets_every_image" {
  command = plan

  assert {
    condition     = length(proxmox_download_file.image) == 4
    error_message = "two hosts, two images"
  }

  assert {
    condition     = alltrue([for image in proxmox_download_file.image : !image.overwrite && image.overwrite_unmanaged])
    error_message = "a size that changes upstream must not fetch an image again, a half-made file must not be in the way"
  }
}

run "a_checksum_is_passed_on" {
  command = plan

  assert {
    condition = (
      proxmox_download_file.image["pve1/talos-v1.12.0-376567988ad3-nocloud-amd64.raw"].checksum_algorithm == "sha256"
      && proxmox_download_file.image["pve1/talos-v1.13.9-376567988ad3-nocloud-amd64.raw"].checksum_algorithm == null
    )
    error_message = "sha256 exactly where a checksum is given"
  }
}

run "refuses_a_compressed_image" {
  command = plan

  variables {
    images = { "talos.raw.xz" = { url = "https://factory.talos.dev/a.raw.xz", storage = "local" } }
  }

  expect_failures = [var.images]
}
