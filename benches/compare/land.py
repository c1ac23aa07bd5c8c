"""Landing a tree in a real SeaweedFS: Airlift from its bundle, the others from the files."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from peers import usable

KEY, SECRET = "bench", "bench-secret-of-no-value"
PORTS = tuple(f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc"))


class Weed:
    """A server on free loopback ports, with all its data below a directory."""

    def __init__(self, program, directory):
        directory.mkdir(parents=True)
        config = directory / "identities.json"
        identity = {"name": KEY, "credentials": [{"accessKey": KEY, "secretKey": SECRET}]}
        identity["actions"] = ["Admin", "Read", "Write", "List", "Tagging"]
        config.write_text(json.dumps({"identities": [identity]}))
        ports = {name: free_port() for name in PORTS}
        flags = [f"-{name}={port}" for name, port in ports.items()]
        flags += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={config}", "-master.telemetry=false"]
        flags += ["-volume.max=100", "-master.volumeSizeLimitMB=1024", "-filer", "-s3", f"-dir={directory}"]
        log = open(directory / "log", "wb")
        command = [program, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *flags]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        self.filer = f"http://127.0.0.1:{ports['filer.port']}"
        # The program's own way to name a gRPC port that is not 10,000 above the other.
        self.filer_with_grpc = f"{self.filer}.{ports['filer.port.grpc']}"
        self.directory = directory
        self.wait()

    def wait(self):
        for _ in range(120):
            try:
                urllib.request.urlopen(self.endpoint, timeout=1)
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.5)
        raise SystemExit(f"the server did not start; see {self.directory / 'log'}")

    def make_bucket(self, name):
        """Creates a bucket, which is a directory below the filer's /buckets, and its first volumes.

        Whoever came first would wait for these, some seconds: an object is written and removed.
        """
        bucket = f"{self.filer}/buckets/{name}/"
        for path, method, body in (("", "POST", None), ("first", "PUT", b"first"), ("first", "DELETE", None)):
            request = urllib.request.Request(bucket + path, data=body, method=method)
            urllib.request.urlopen(request, timeout=60).close()

    def cpu_seconds(self):
        """Returns user and system time of the server so far."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.directory)

    def env(self):
        keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}
        remote = {"TYPE": "s3", "PROVIDER": "Other", "ENV_AUTH": "true", "ENDPOINT": self.endpoint}
        remote = {f"RCLONE_CONFIG_WEED_{name}": value for name, value in remote.items()}
        # The server speaks plain HTTP, and one of the clients refuses to start with authorities of another.
        own = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
        return dict(own, AWS_ENDPOINT_URL_S3=self.endpoint, S3_ENDPOINT_URL=self.endpoint, **keys, **remote)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ways(tool, root, state):
    """Returns the ways on this machine: name, bucket to make first, and the command for a server."""
    stream = ["--stream", "compare", "--allowed-signers", str(tool.work / "signers"), "--state", str(state)]
    target = ["--to", "s3://airlift", "--map", f"{root.name}=land/", "--enrol", "--endpoint"]
    ours = [tool.path, "import", str(tool.bundle()), *stream, *target]
    found = [("airlift import", "airlift", lambda server: [*ours, server.endpoint])]
    if aws := usable("aws", ["--version"]):
        copy = [aws, "s3", "cp", "--quiet", "--recursive", str(root), "s3://aws/land/"]
        found.append(("aws s3 cp", "aws", lambda server: copy))
    if s5cmd := usable("s5cmd", ["version"]):
        found.append(("s5cmd cp", "s5cmd", lambda server: [s5cmd, "cp", f"{root}/", "s3://s5cmd/land/"]))
    if rclone := usable("rclone", ["version"]):
        flags = ["-q", "--transfers", "16", "--s3-no-check-bucket", "--config", "/dev/null"]
        sync = [rclone, "copy", *flags, str(root), "weed:rclone/land"]
        found.append(("rclone copy", "rclone", lambda server: sync))
    if weed := usable("weed", ["version"]):
        copy_native = [weed, "filer.copy", "-c", "8", str(root)]
        to_copy = "/buckets/copy/"
        found.append(("weed filer.copy", "copy", lambda server: [*copy_native, server.filer_with_grpc + to_copy]))
    return found
