"""The table of served methods: types, handler and the roles Talos allows each to."""

from google.protobuf.empty_pb2 import Empty

from infraflux_lab.talos.api_cluster import ClusterApi
from infraflux_lab.talos.api_cosi import CosiApi
from infraflux_lab.talos.api_day2 import Day2Api
from infraflux_lab.talos.api_etcd import EtcdApi
from infraflux_lab.talos.api_lifecycle import LifecycleApi
from infraflux_lab.talos.api_machine import MachineApi
from infraflux_lab.talos.api_storage import StorageApi
from infraflux_lab.talos.gateway import Method
from infraflux_lab.talos.proto import (
    cluster_pb2,
    common_pb2,
    cosi_pb2,
    day2_pb2,
    kubernetes_pb2,
    machine_pb2,
    storage_pb2,
)

ADMIN = frozenset({"os:admin"})
OPERATORS = ADMIN | {"os:operator"}
READERS = OPERATORS | {"os:reader"}
ETCD_READERS = READERS | {"os:etcd:backup"}
SNAPSHOTTERS = OPERATORS | {"os:etcd:backup"}


CHANGING = frozenset({
    "ApplyConfiguration", "Bootstrap", "Create", "Destroy", "EtcdAlarmDisarm", "EtcdDefragment",
    "EtcdForfeitLeadership", "EtcdLeaveCluster", "EtcdRecover",
    "MetaDelete", "MetaWrite", "ServiceRestart",
    "EtcdRemoveMemberByID", "Pull", "Reboot", "Reset", "Shutdown", "Update", "Upgrade",
})  # fmt: skip
"""Methods that change a machine; everything else only reads."""


def changes(path: str) -> bool:
    """Whether a call of this method (`/machine.MachineService/Reboot`) changes anything."""
    return path.rpartition("/")[2] in CHANGING


def machine_methods(api: MachineApi) -> dict[str, Method]:
    """Configuration, state and bootstrap of a machine."""
    m = machine_pb2
    return {
        # Readers only in maintenance mode; the handler checks.
        "ApplyConfiguration": Method(
            request=m.ApplyConfigurationRequest,
            response=m.ApplyConfigurationResponse,
            roles=READERS,
            unary=api.apply_configuration,
        ),
        "Bootstrap": Method(request=m.BootstrapRequest, response=m.BootstrapResponse, roles=ADMIN, unary=api.bootstrap),
        "Version": Method(request=Empty, response=m.VersionResponse, roles=READERS, unary=api.version),
        "Hostname": Method(request=Empty, response=m.HostnameResponse, roles=READERS, unary=api.hostname),
        "Memory": Method(request=Empty, response=m.MemoryResponse, roles=READERS, unary=api.memory),
        "ServiceList": Method(request=Empty, response=m.ServiceListResponse, roles=READERS, unary=api.service_list),
        "Read": Method(request=m.ReadRequest, response=common_pb2.Data, roles=ADMIN, stream=api.read),
        "Events": Method(request=m.EventsRequest, response=m.Event, roles=READERS, stream=api.events),
        "GenerateClientConfiguration": Method(
            request=m.GenerateClientConfigurationRequest,
            response=m.GenerateClientConfigurationResponse,
            roles=ADMIN,
            unary=api.generate_client_configuration,
        ),
        "Kubeconfig": Method(request=Empty, response=common_pb2.Data, roles=ADMIN, stream=api.kubeconfig),
    }


def lifecycle_methods(api: LifecycleApi) -> dict[str, Method]:
    """What takes a machine down."""
    m = machine_pb2
    return {
        "Reboot": Method(request=m.RebootRequest, response=m.RebootResponse, roles=OPERATORS, unary=api.reboot),
        "Shutdown": Method(request=m.ShutdownRequest, response=m.ShutdownResponse, roles=OPERATORS, unary=api.shutdown),
        "Reset": Method(request=m.ResetRequest, response=m.ResetResponse, roles=ADMIN, unary=api.reset),
        "Upgrade": Method(request=m.UpgradeRequest, response=m.UpgradeResponse, roles=ADMIN, unary=api.upgrade_legacy),
    }


def etcd_methods(api: EtcdApi) -> dict[str, Method]:
    """Everything about etcd."""
    m = machine_pb2
    return {
        "EtcdMemberList": Method(
            request=m.EtcdMemberListRequest,
            response=m.EtcdMemberListResponse,
            roles=ETCD_READERS,
            unary=api.member_list,
        ),
        "EtcdStatus": Method(request=Empty, response=m.EtcdStatusResponse, roles=ETCD_READERS, unary=api.status),
        "EtcdAlarmList": Method(
            request=Empty, response=m.EtcdAlarmListResponse, roles=ETCD_READERS, unary=api.alarm_list
        ),
        "EtcdAlarmDisarm": Method(
            request=Empty, response=m.EtcdAlarmDisarmResponse, roles=OPERATORS, unary=api.alarm_disarm
        ),
        "EtcdDefragment": Method(
            request=Empty, response=m.EtcdDefragmentResponse, roles=OPERATORS, unary=api.defragment
        ),
        "EtcdSnapshot": Method(
            request=m.EtcdSnapshotRequest, response=common_pb2.Data, roles=SNAPSHOTTERS, stream=api.snapshot
        ),
        "EtcdRecover": Method(request=common_pb2.Data, response=m.EtcdRecoverResponse, roles=ADMIN, upload=api.recover),
        "EtcdLeaveCluster": Method(
            request=m.EtcdLeaveClusterRequest,
            response=m.EtcdLeaveClusterResponse,
            roles=ADMIN,
            unary=api.leave_cluster,
        ),
        "EtcdRemoveMemberByID": Method(
            request=m.EtcdRemoveMemberByIDRequest,
            response=m.EtcdRemoveMemberByIDResponse,
            roles=ADMIN,
            unary=api.remove_member,
        ),
        "EtcdForfeitLeadership": Method(
            request=m.EtcdForfeitLeadershipRequest,
            response=m.EtcdForfeitLeadershipResponse,
            roles=ADMIN,
            unary=api.forfeit_leadership,
        ),
    }


def upgrade_methods(api: LifecycleApi) -> dict[str, Method]:
    """The image and lifecycle services that Talos 1.13 upgrades through, and the call that pulled images before."""
    m, k = machine_pb2, kubernetes_pb2
    return {
        "/machine.MachineService/ImagePull": Method(
            request=k.ImagePullRequest, response=k.ImagePullResponse, roles=OPERATORS, unary=api.image_pull_legacy
        ),
        "/machine.ImageService/Pull": Method(
            request=m.ImageServicePullRequest,
            response=m.ImageServicePullResponse,
            roles=OPERATORS,
            stream=api.image_pull,
        ),
        "/machine.LifecycleService/Upgrade": Method(
            request=m.LifecycleServiceUpgradeRequest,
            response=m.LifecycleServiceUpgradeResponse,
            roles=ADMIN,
            stream=api.upgrade,
        ),
    }


def cosi_methods(api: CosiApi) -> dict[str, Method]:
    """The resource API; writing is refused whoever asks."""
    c = cosi_pb2
    refused = Method(request=c.WriteRequest, response=c.WriteResponse, roles=ADMIN, unary=api.refuse_write)
    return {
        "/cosi.resource.State/Get": Method(request=c.GetRequest, response=c.GetResponse, roles=READERS, unary=api.get),
        "/cosi.resource.State/List": Method(
            request=c.ListRequest, response=c.ListResponse, roles=READERS, stream=api.list_resources
        ),
        "/cosi.resource.State/Watch": Method(
            request=c.WatchRequest, response=c.WatchResponse, roles=READERS, stream=api.watch
        ),
        "/cosi.resource.State/Create": refused,
        "/cosi.resource.State/Update": refused,
        "/cosi.resource.State/Destroy": refused,
    }


def day2_methods(api: Day2Api) -> dict[str, Method]:
    """What is asked of a node that stands."""
    d = day2_pb2
    machined = {
        "Logs": Method(request=d.LogsRequest, response=common_pb2.Data, roles=READERS, stream=api.logs),
        "LogsContainers": Method(
            request=Empty, response=d.LogsContainersResponse, roles=READERS, unary=api.logs_containers
        ),
        "Dmesg": Method(request=d.DmesgRequest, response=common_pb2.Data, roles=READERS, stream=api.dmesg),
        "Copy": Method(request=d.CopyRequest, response=common_pb2.Data, roles=ADMIN, stream=api.copy),
        "ServiceRestart": Method(
            request=d.ServiceRestartRequest,
            response=d.ServiceRestartResponse,
            roles=OPERATORS,
            unary=api.service_restart,
        ),
        "MetaWrite": Method(
            request=d.MetaWriteRequest, response=d.MetaWriteResponse, roles=ADMIN, unary=api.meta_write
        ),
        "MetaDelete": Method(
            request=d.MetaDeleteRequest, response=d.MetaDeleteResponse, roles=ADMIN, unary=api.meta_delete
        ),
    }
    return {
        **{f"/machine.MachineService/{name}": method for name, method in machined.items()},
        "/time.TimeService/Time": Method(request=Empty, response=d.TimeResponse, roles=READERS, unary=api.time),
        "/time.TimeService/TimeCheck": Method(
            request=d.TimeRequest, response=d.TimeResponse, roles=READERS, unary=api.time_check
        ),
    }


def method_table(
    *,
    machine: MachineApi,
    lifecycle: LifecycleApi,
    etcd: EtcdApi,
    cosi: CosiApi,
    storage: StorageApi,
    cluster: ClusterApi,
    day2: Day2Api,
) -> dict[str, Method]:
    """Every served method by its full path."""
    machined = {**machine_methods(machine), **lifecycle_methods(lifecycle), **etcd_methods(etcd)}
    return {
        **{f"/machine.MachineService/{name}": method for name, method in machined.items()},
        **upgrade_methods(lifecycle),
        **day2_methods(day2),
        **cosi_methods(cosi),
        "/storage.StorageService/Disks": Method(
            request=Empty, response=storage_pb2.DisksResponse, roles=READERS, unary=storage.disks
        ),
        "/cluster.ClusterService/HealthCheck": Method(
            request=cluster_pb2.HealthCheckRequest,
            response=cluster_pb2.HealthCheckProgress,
            roles=READERS,
            stream=cluster.health_check,
        ),
    }
