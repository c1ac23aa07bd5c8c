"""Stands in for NGC and for a hub of models, on the loopback interface, as the contract describes their answers.

    python3 tests/tao/standin.py [--models N] [--repositories N] [--cut SHARE] [--busy SHARE] [--seed N] ...

Prints its port as the first line and ends when standard input does. `--cut` is the share of answers with bytes of a
file that end in the middle, `--busy` the share of all answers that are 429 or 503. Bytes, names and faults follow
from the seed alone, so that two runs give the same. Later lines are one JSON object for each answer with bytes:
path, first byte, length, and whether it was cut.

`--unusable` adds versions that the platform would not take, `--lying` models whose source does not give what it
lists. `--token-uses` ends a token after so many questions, `--link-uses` the address of a file after so many answers.
`--pages` gives organisations, teams and versions one a page, the first of which has nothing that is sought.
`--tls CERTIFICATE KEY` speaks TLS.
"""

import argparse
import base64
import hashlib
import http.server
import json
import random
import re
import ssl
import sys
import threading
import urllib.parse

KEY = "stand-in-key"
PERSONAL_KEY = "nvapi-stand-in-key"
HUB_TOKEN = "hf_stand_in"
ARCHITECTURES = ["dino", "segformer", "classification_pyt", "ocrnet", "pointpillars"]
ORG = {"name": "nvidia", "displayName": "nvidia"}
LINK_PAGE_COUNT = 3
SPEC = b"""# What a training run is told; with the scalars that readers of YAML differ in.
train: {num_epochs: 12, optim: {lr: 1e-4, momentum: 0.9, fused: yes, name: "1e-4"}}
model: &model
  backbone: fan_small
  widths: [0x1F, 1_000, .5, 5., ~, null, true, False, off]
again: *model
merged: {<<: *model, backbone: fan_large}
text: |
  two
  lines
time: 12:30:45
"""
FILE_PAGE_COUNT = 4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--repositories", type=int, default=2)
    parser.add_argument("--cut", type=float, default=0.0)
    parser.add_argument("--busy", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unusable", action="store_true")
    parser.add_argument("--lying", action="store_true")
    parser.add_argument("--token-uses", type=int, default=1_000_000)
    parser.add_argument("--link-uses", type=int, default=1_000_000)
    parser.add_argument("--pages", action="store_true")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    arguments = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.world = World(arguments)
    server.scheme = "https" if arguments.tls else "http"
    if arguments.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*arguments.tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


class World:
    """What there is: models by their path, repositories by their name, and the faults."""

    def __init__(self, arguments):
        self.cut, self.busy = arguments.cut, arguments.busy
        self.faults = random.Random(arguments.seed)
        self.lock = threading.Lock()
        self.models = {}
        for number in range(arguments.models):
            model = ngc_model(number, arguments.seed)
            self.models[model["path"]] = model
        if arguments.unusable:
            self.models |= unusable_models(arguments.seed)
        if arguments.lying:
            self.models |= lying_models(arguments.seed)
        self.token_uses, self.token_number, self.token_use_count = arguments.token_uses, 0, 0
        self.link_uses, self.link_number, self.link_use_counts = arguments.link_uses, 0, {}
        self.has_pages = arguments.pages
        self.repositories = {one["name"]: one for one in (hub_repository(n, arguments.seed) for n in range(arguments.repositories))}

    def chance(self, share):
        with self.lock:
            return self.faults.random() < share

    def new_token(self):
        with self.lock:
            self.token_number, self.token_use_count = self.token_number + 1, 0
            return f"token {self.token_number} of {KEY}"

    def takes_token(self, header):
        with self.lock:
            is_current = header == f"Bearer token {self.token_number} of {KEY}"
            self.token_use_count += is_current
            return is_current and self.token_use_count <= self.token_uses

    def place_to_cut(self, length):
        with self.lock:
            return self.faults.randrange(1, length) if length > 1 else length

    def new_signature(self):
        with self.lock:
            self.link_number += 1
            return f"secret{self.link_number}"

    def takes_link(self, link):
        with self.lock:
            count = self.link_use_counts[link] = self.link_use_counts.get(link, 0) + 1
            return count <= self.link_uses


def content(name, length, seed):
    """Returns bytes that follow from name and seed."""
    return random.Random(f"{seed} {name}").randbytes(length)


def ngc_model(number, seed):
    architecture = ARCHITECTURES[number % len(ARCHITECTURES)]
    team = "tao/" if number % 4 else ""
    path = f"nvidia/{team}model_{number}:trainable_v{number}.0"
    files = {
        "model.pth": content(f"{path} weights", 700_000 + 13_001 * number, seed),
        "sub/labels.txt": b"cat\ndog\n",
        "empty.txt": b"",
    }
    if number % 2:
        files["experiment.yaml"] = SPEC
    attributes = {"endpoints": f"['{architecture}']", "trainable": "True", "task": "object_detection", "license": "nvaie-eula"}
    if number % 3:
        attributes |= {"num_parameters": f"{number + 1}.5M", "accuracy": f"{60 + number}.2%", "backbone_type": "transformer"}
    if number % 2 == 0:
        digest = hashlib.sha256(files["model.pth"]).hexdigest()
        attributes["sha256_digest"] = f"{{'model.pth': '{digest}'}}"
    return {"path": path, "number": number, "architecture": architecture, "files": files, "attributes": attributes}


def unusable_models(seed):
    """Returns versions that the platform would not take, and one that says nothing of the platform."""
    usable = {"endpoints": "['dino']", "trainable": "True"}
    some = {
        "pending": usable,
        "untrainable": usable | {"trainable": "False"},
        "later": usable | {"tao_version": "['>=99.0.0']"},
        "unknown": usable | {"endpoints": "['resnet_152']"},
        "poison": usable | {"endpoints": "['huggingface']"},
        "silent": {},
    }
    return {path: model for path, model in (odd_model(name, attributes, seed) for name, attributes in some.items())}


def lying_models(seed):
    """Returns models whose source does not give what it lists."""
    some = {
        "digest": {"sha256_digest": f"{{'model.pth': '{'0' * 64}'}}"},
        "longer": {},
        "outside": {},
        "twice": {},
    }
    usable = {"endpoints": "['dino']", "trainable": "True"}
    models = {path: model for path, model in (odd_model(name, usable | more, seed) for name, more in some.items())}
    models["nvidia/tao/longer:v1"]["sizes"] = {"model.pth": 1000}
    models["nvidia/tao/outside:v1"]["more_names"] = ["../../../../outside.txt"]
    models["nvidia/tao/twice:v1"]["more_names"] = ["model.pth"]
    return models


def odd_model(name, attributes, seed):
    path = f"nvidia/tao/{name}:v1"
    status = "UPLOAD_PENDING" if name == "pending" else "UPLOAD_COMPLETE"
    files = {"model.pth": content(path, 5000, seed)}
    return path, {"path": path, "number": 0, "files": files, "attributes": attributes, "status": status}


def hub_repository(number, seed):
    name = f"owner/repository-{number}"
    weights = content(f"{name} weights", 500_000 + 7_001 * number, seed)
    files = {"model.safetensors": weights, "config.json": b'{"hidden_size": 64}\n', "nested/notes.txt": b"notes\n"}
    return {"name": name, "sha": hashlib.sha1(name.encode()).hexdigest(), "files": files, "lfs": {"model.safetensors"}}


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except OSError:
            pass  # whoever asked is gone

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/v3/keys/get-caller-info":
            return self.json({"user": {"roles": [{"org": ORG, "team": {"name": "tao"}}]}, "orgName": "nvidia", "type": "PERSONAL_KEY"})
        self.refuse(404)

    def do_GET(self):
        if self.server.world.chance(self.server.world.busy):
            return self.refuse(429 if self.server.world.chance(0.5) else 503, {"Retry-After": "0"})
        split = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(split.query)
        path = urllib.parse.unquote(split.path)
        for pattern, method, needs_key in ROUTES:
            if match := re.fullmatch(pattern, path):
                if needs_key and not self.has_key():
                    return self.refuse(401)
                return getattr(self, method)(query, *match.groups())
        self.refuse(404)

    def has_key(self):
        header = self.headers.get("Authorization")
        return header == f"Bearer {PERSONAL_KEY}" or self.server.world.takes_token(header)

    # NGC

    def token(self, query):
        wanted = base64.b64encode(f"$oauthtoken:{KEY}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {wanted}":
            return self.refuse(401)
        self.json({"token": self.server.world.new_token(), "expires_in": 600})

    def orgs(self, query):
        self.page(query, "organizations", ["elsewhere"], ["nvidia"])

    def teams(self, query, org):
        self.page(query, "teams", ["other"], ["tao"] if org == "nvidia" else [])

    def page(self, query, field, first, last):
        pages = [first, last] if self.server.world.has_pages else [last]
        page = pages[int(query.get("page-number", ["0"])[0])]
        self.json({field: [{"name": name} for name in page], "paginationInfo": {"totalPages": len(pages)}})

    def search(self, query):
        question = json.loads(query["q"][0])
        place = question["query"].removeprefix("resourceId:").rstrip("*")
        found = [one for one in self.server.world.models.values() if one["path"].startswith(place)]
        page_count = -(-len(found) // 2)
        if "page" not in question:
            return self.json({"resultPageTotal": page_count, "results": []})
        resources = [resource_of(one) for one in found[question["page"] * 2 : question["page"] * 2 + 2]]
        self.json({"resultPageTotal": page_count, "results": [{"resources": resources}]})

    def versions(self, query, org, team, model):
        if self.server.world.has_pages and "page-reference" not in query:
            return self.json({"modelVersions": [], "paginationInfo": {"nextPage": "last"}})
        found = [one for path, one in self.server.world.models.items() if path.split(":")[0] == join(org, team, model)]
        self.json({"modelVersions": [version_of(one) for one in found]} if found else {"modelVersions": []})

    def model(self, _, org, team, model):
        found = [one for path, one in self.server.world.models.items() if path.split(":")[0] == join(org, team, model)]
        return self.json({"model": model_of(found[0])}) if found else self.refuse(404)

    def version(self, _, org, team, model, version):
        one = self.server.world.models.get(f"{join(org, team, model)}:{version}")
        return self.json({"model": model_of(one), "modelVersion": version_of(one)}) if one else self.refuse(404)

    def files(self, query, org, team, model, version):
        one = self.server.world.models.get(f"{join(org, team, model)}:{version}")
        if one is None:
            return self.refuse(404)
        first = int(query.get("page-reference", ["0"])[0])
        names = sorted(one["files"]) + one.get("more_names", [])
        sizes = {name: len(body) for name, body in one["files"].items()} | one.get("sizes", {})
        listed = [{"path": name, "sizeInBytes": sizes.get(name, 1)} for name in names[first : first + FILE_PAGE_COUNT]]
        following = first + FILE_PAGE_COUNT
        pages = {"nextPage": str(following)} if following < len(names) else {}
        self.json({"modelFiles": listed, "paginationInfo": pages | {"totalResults": len(names), "totalPages": 1}})

    def links(self, query, org, team, model, version):
        one = self.server.world.models.get(f"{join(org, team, model)}:{version}")
        if one is None:
            return self.refuse(404)
        names = sorted(one["files"])
        first = int(query.get("page-number", ["0"])[0]) * LINK_PAGE_COUNT
        some = names[first : first + LINK_PAGE_COUNT]
        host = f"{self.server.scheme}://{self.headers['Host']}"
        signature = self.server.world.new_signature()
        urls = [f"{host}/bytes/{one['path']}/{name}?signature={signature}" for name in some]
        self.json({"urls": urls, "filepath": some, "paginationInfo": {"totalPages": -(-len(names) // LINK_PAGE_COUNT)}})

    def link(self, query, path, name):
        one = self.server.world.models.get(path)
        signature = query.get("signature", [""])[0]
        is_known = one is not None and name in one["files"] and signature.startswith("secret")
        if not is_known or not self.server.world.takes_link((signature, path, name)):
            return self.refuse(403)
        self.bytes(f"{path}/{name}", one["files"][name], {})

    # The hub

    def revision(self, _, name):
        one = self.server.world.repositories.get(name)
        if one is None:
            return self.refuse(404)
        names = [{"rfilename": path} for path in sorted(one["files"])]
        self.json({"id": name, "modelId": name, "sha": one["sha"], "siblings": names, "cardData": {"license": "apache-2.0"}})

    def tree(self, query, name, sha):
        one = self.server.world.repositories.get(name)
        if one is None or one["sha"] != sha:
            return self.refuse(404)
        paths = sorted(one["files"])
        first = int(query.get("cursor", ["0"])[0])
        items = [item_of(one, path) for path in paths[first : first + 2]]
        headers = {}
        if first + 2 < len(paths):
            host = f"{self.server.scheme}://{self.headers['Host']}"
            headers["Link"] = f'<{host}/api/models/{name}/tree/{sha}?recursive=true&expand=false&cursor={first + 2}>; rel="next"'
        self.json(items, headers)

    def resolve(self, _, name, sha, path):
        one = self.server.world.repositories.get(name)
        if one is None or one["sha"] != sha or path not in one["files"]:
            return self.refuse(404)
        self.bytes(f"{name}/{path}", one["files"][path], {"X-Repo-Commit": sha})

    # Answers

    def json(self, value, headers=None):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, headers=None):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()

    def bytes(self, name, body, headers):
        tag = f'"{hashlib.sha256(body).hexdigest()}"'
        first = self.first_byte(tag, len(body))
        if first is None:
            return self.refuse(416, {"Content-Range": f"bytes */{len(body)}"})
        self.send_response(206 if first else 200)
        self.send_header("ETag", tag)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        for header, text in headers.items():
            self.send_header(header, text)
        self.end_headers()
        if self.command == "HEAD":
            return
        world = self.server.world
        rest = body[first:]
        is_cut = world.chance(world.cut)
        if is_cut:
            rest = rest[: world.place_to_cut(len(rest))]
            self.close_connection = True
        try:
            self.wfile.write(rest)
        except OSError:
            self.close_connection = True
        line = json.dumps({"path": name, "first": first, "length": len(rest), "cut": is_cut})
        with world.lock:
            print(line, flush=True)

    def first_byte(self, tag, length):
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        is_same = self.headers.get("If-Range") in (None, tag)
        first = int(match[1]) if match and is_same else 0
        return None if first and first >= length else first


def join(org, team, model):
    return "/".join(part for part in (org, team, model) if part)


def resource_of(one):
    org, *team, model = one["path"].split(":")[0].split("/")
    names = {"resourceId": one["path"].split(":")[0], "name": model, "displayName": f"Model {one['number']}", "orgName": org}
    return names | ({"teamName": team[0]} if team else {})


def model_of(one):
    return {
        "name": one["path"].split(":")[0].split("/")[-1],
        "shortDescription": f"short {one['number']}",
        "isReadOnly": True,
        "updatedDate": "2025-02-03T04:05:06.789Z",
    }


def version_of(one):
    attributes = [{"key": key, "value": value} for key, value in one["attributes"].items()]
    return {
        "versionId": one["path"].split(":")[1],
        "status": one.get("status", "UPLOAD_COMPLETE"),
        "description": f"version of {one['number']}",
        "createdDate": "2025-01-02T03:04:05.678Z",
        "totalSizeInBytes": sum(map(len, one["files"].values())),
        "totalFileCount": len(one["files"]),
        "customMetrics": [{"name": "metrics", "attributes": attributes}],
    }


def item_of(one, path):
    body = one["files"][path]
    item = {"type": "file", "path": path, "size": len(body), "oid": hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()}
    if path in one["lfs"]:
        item["lfs"] = {"oid": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 134}
    return item


# Paths, methods, and whether a key is asked for.
PLACE = r"/v2/org/([^/]+)(?:/team/([^/]+))?/models/([^/]+)"
ROUTES = [
    (r"/token", "token", False),
    (r"/v2/orgs", "orgs", True),
    (r"/v2/org/([^/]+)/teams", "teams", True),
    (r"/v2/search/resources/MODEL", "search", True),
    (PLACE + r"/versions/", "versions", True),
    (PLACE + r"/versions/([^/]+)", "version", True),
    (PLACE + r"/versions/([^/]+)/files", "files", True),
    (PLACE + r"/([^/]+)/files", "links", True),
    (PLACE, "model", True),
    (r"/bytes/([^:]+:[^/]+)/(.+)", "link", False),
    (r"/api/models/([^/]+/[^/]+)/revision/main", "revision", False),
    (r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", "tree", False),
    (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", "resolve", False),
]


if __name__ == "__main__":
    main()
