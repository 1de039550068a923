"""Wire format of the Talos API subset: own .proto files with Talos' field numbers, and what protoc makes of them."""
