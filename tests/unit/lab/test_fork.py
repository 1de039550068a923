"""The lab's process starts programs while its gRPC server is busy; none of them may crash on the way."""

import subprocess
import sys
import textwrap
from pathlib import Path

STARTS = 60


def test_children_start_beside_a_busy_grpc_server(tmp_path: Path) -> None:
    code = f"""
        import asyncio
        import infraflux_lab.talos
        import grpc
        from infraflux.core.die_with_parent import die_with_parent

        async def poke(channel):
            while True:
                try:
                    await channel.unary_unary("/a/b")(b"", timeout=5)
                except grpc.RpcError:
                    pass

        async def main():
            server = grpc.aio.server()
            server.add_insecure_port("unix:{tmp_path}/s")
            await server.start()
            async with grpc.aio.insecure_channel("unix:{tmp_path}/s") as channel:
                busy = [asyncio.create_task(poke(channel)) for _ in range(4)]
                codes = []
                for _ in range({STARTS}):
                    child = await asyncio.create_subprocess_exec(*die_with_parent(["/bin/true"]))
                    codes.append(await child.wait())
                for task in busy:
                    task.cancel()
                await asyncio.gather(*busy, return_exceptions=True)
            await server.stop(None)
            print(sum(code != 0 for code in codes))

        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "0"
