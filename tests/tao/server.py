#!/usr/bin/env python3
"""The platform's own API of nvidia-tao-core, unchanged, on a free loopback port.

    server.py --registry /shared-storage/models

The first line of output is the port. Each line of input is a question, answered by one line:

    {"lookup": EXPERIMENT_ID, "workspace": WORKSPACE_ID}   where the platform's own weight lookup
                                                            finds the weights of an entry, or null
    {"show": {KEY: ENTRY}}    loads metadata as the platform does, lists all with both versions of the API,
                              and forgets them: the two statuses, and whether every entry is in both lists

It ends when its input ends. The database is the package's own test mode, in memory. A name or an
address outside this machine is refused.
"""

import argparse
import ipaddress
import json
import logging
import os
import sys
import tempfile
import threading
import types


def refuse_outside(event, args):
    """Refuses to look up or connect to anything but this machine."""
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host in (None, "", "localhost"):
        return
    try:
        is_here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = False
    if not is_here:
        raise ConnectionRefusedError(f"{host} is outside this machine")


def set_environment(registry, home):
    """Sets what the package reads when it is imported."""
    for name in list(os.environ):
        # Whoever runs the tests may have credentials and proxies.
        if name.startswith(("AWS_", "NGC_", "HF_", "TAO_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(
        TAO_TEST_MODE="true",
        BACKEND="local-docker",
        AIRGAPPED_MODE="true",
        LOCAL_MODEL_REGISTRY=registry,
        TAO_ROOT=f"{home}/orgs/",
        HOME=home,
        TMPDIR=home,
        # A dead store is asked once a try, not five times: minutes would show nothing more.
        AWS_MAX_ATTEMPTS="1",
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE=f"{home}/none",
        AWS_SHARED_CREDENTIALS_FILE=f"{home}/none",
    )


def show(entries):
    """Loads entries, lists them, and forgets them."""
    from nvidia_tao_core.microservices.app import app
    from nvidia_tao_core.microservices.utils.airgapped_utils.loader import AirgappedExperimentLoader
    from nvidia_tao_core.microservices.utils.mongo_utils import MongoHandler

    loader = AirgappedExperimentLoader.__new__(AirgappedExperimentLoader)  # its constructor asks a store
    loader.mongo_handler = MongoHandler("tao", "jobs")
    loader.find_and_read_experiment_yaml = lambda _: None
    loader.import_to_database(loader.validate_experiment_data(entries))
    statuses, is_whole = [], True
    for path in ("/api/v1/orgs/nvidia/experiments:base", "/api/v2/orgs/nvidia/jobs:list_base_experiments"):
        answer = app.test_client().get(path)
        statuses.append(answer.status_code)
        body = (answer.get_json(silent=True) or {}) if answer.status_code == 200 else {}
        listed = {entry["id"] for entry in body.get("experiments", [])}
        is_whole = is_whole and listed >= set(entries)
    loader.mongo_handler.delete_many({})
    return {"statuses": statuses, "listed": is_whole}


def answer(question):
    """Answers what the platform shows, or where it finds the weights of an entry."""
    if "show" in question:
        return show(question["show"])
    return lookup(question)


def lookup(question):
    from nvidia_tao_core.microservices.handlers.infer_params import infer_ptm
    from nvidia_tao_core.microservices.utils.mongo_utils import MongoHandler

    entry = MongoHandler("tao", "jobs").find_one({"id": question["lookup"]})
    if not entry:
        return None
    job = types.SimpleNamespace(network=entry["network_arch"])
    about = {"base_experiment_ids": [question["lookup"]], "workspace": question["workspace"]}
    return infer_ptm(job, about) or None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registry", required=True)
    args = parser.parse_args()
    sys.addaudithook(refuse_outside)
    with tempfile.TemporaryDirectory(prefix="platform") as home:
        set_environment(args.registry, home)
        from nvidia_tao_core.microservices.app import app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_port, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line))), flush=True)
        server.shutdown()


if __name__ == "__main__":
    main()
