"""Runs the platform's own downloader with NGC elsewhere: its addresses are fixed in its code.

    python tests/tao/vendor.py http://127.0.0.1:PORT ARGUMENTS OF pretrained_models...
"""

import runpy
import sys
import urllib.parse

import requests

FIXED = ("api.ngc.nvidia.com", "authn.nvidia.com")


def main():
    elsewhere = sys.argv.pop(1)
    send = requests.Session.send

    def redirected(self, request, **options):
        split = urllib.parse.urlsplit(request.url)
        if split.hostname in FIXED:
            request.url = request.url.replace(f"https://{split.netloc}", elsewhere, 1)
        return send(self, request, **options)

    requests.Session.send = redirected
    runpy.run_module("nvidia_tao_core.microservices.pretrained_models", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
