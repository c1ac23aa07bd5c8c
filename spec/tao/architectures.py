"""Writes architectures.json: what the platform accepts in a model's metadata, taken from its own package.

    python3 spec/tao/architectures.py WHEEL            writes architectures.json beside this file
    python3 spec/tao/architectures.py WHEEL --check    compares instead; ends with 1 where they differ

WHEEL is nvidia_tao_core-7.3.0-py3-none-any.whl, as `pip download --no-deps nvidia-tao-core==7.3.0` brings it.
Nothing of the package is run: tables are read from its JSON files and the syntax trees of its modules.
"""

import ast
import json
import pathlib
import sys
import zipfile

PACKAGE = "nvidia_tao_core/microservices"
CONFIGS = f"{PACKAGE}/handlers/network_configs/"
CONFIG_END = ".config.json"
# Configurations of kinds of data, which are no architectures themselves.
KINDS = ("image_classification", "object_detection", "segmentation", "character_recognition", "vlm")
# The enumerations of `base_experiment_metadata` and of an entry, by the field they limit.
ENUMERATIONS = {
    "task": ("enum_constants.py", "BaseExperimentTask"),
    "domain": ("enum_constants.py", "BaseExperimentDomain"),
    "backbone_type": ("enum_constants.py", "BaseExperimentBackboneType"),
    "backbone_class": ("enum_constants.py", "BaseExperimentBackboneClass"),
    "license": ("enum_constants.py", "BaseExperimentLicense"),
    "accepted_dataset_intents": ("blueprints/v1/schemas.py", "DatasetIntentEnum"),
    "base_experiment_pull_complete": ("blueprints/v1/schemas.py", "PullStatus"),
    "checkpoint_choose_method": ("blueprints/v1/schemas.py", "CheckpointChooseMethodEnum"),
    "source_type": ("blueprints/v1/schemas.py", "SourceType"),
}


def main():
    words = [word for word in sys.argv[1:] if word != "--check"]
    if len(words) != 1:
        raise SystemExit(__doc__)
    text = render(tables(zipfile.ZipFile(words[0])))
    target = pathlib.Path(__file__).with_name("architectures.json")
    if "--check" not in sys.argv:
        target.write_text(text, encoding="utf-8")
    elif target.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{target.name} is not what the package says: write it again without --check")


def tables(wheel):
    configs = {
        name.removeprefix(CONFIGS).removesuffix(CONFIG_END): json.loads(wheel.read(name).decode("utf-8-sig"))
        for name in sorted(wheel.namelist())
        if name.startswith(CONFIGS) and name.endswith(CONFIG_END)
    }
    complete = set_of_strings(wheel, "constants.py", "TAO_NETWORKS")
    allowed = {field: enumeration(wheel, *place) for field, place in ENUMERATIONS.items()}
    allowed["dataset_type"] = sorted({params(one)["dataset_type"] for one in configs.values() if "dataset_type" in params(one)})
    allowed["dataset_formats"] = sorted({form for one in configs.values() for form in params(one).get("formats", [])})
    allowed["actions"] = sorted(actions(configs))
    return {
        "package": package_of(wheel),
        "architectures": {name: architecture(configs, name, complete) for name in sorted(architectures(configs))},
        "allowed": dict(sorted(allowed.items())),
    }


def params(config):
    return config.get("api_params", {})


def mapped(config):
    """Returns the networks that a configuration's actions lead to."""
    return [one["network"] for one in config.get("actions_mapping", {}).values() if "network" in one]


def architectures(configs):
    """Returns the names that the platform lists (`ExperimentNetworkArch`)."""
    own = [name for name in configs if name not in KINDS]
    return {*own, *(network for kind in KINDS for network in mapped(configs.get(kind, {})))}


def actions(configs):
    """Returns the actions that the platform lists (`ActionEnum`)."""
    named = [action for one in configs.values() for action in params(one).get("actions", [])]
    led_to = [to["action"] for one in configs.values() for to in one.get("actions_mapping", {}).values() if "action" in to]
    return {*named, *led_to, "train", "evaluate", "export", "inference"}


def architecture(configs, name, complete):
    """Returns what the vendor's downloader writes for a model of this architecture."""
    # Kinds of data first: where two configurations lead to one network, the vendor takes either.
    owners = [one for one in (*KINDS, *sorted(configs)) if name in mapped(configs.get(one, {}))]
    own = params(configs[name] if name in configs else configs[owners[0]])
    return {
        "dataset_type": own.get("dataset_type") or (owners[0] if owners else name),
        "dataset_formats": own.get("formats", ["coco"]),
        "accepted_dataset_intents": own.get("accepted_ds_intents", ["training", "evaluation"]),
        "actions": own["actions"],
        "is_pull_complete": name in complete,
    }


def enumeration(wheel, module, name):
    """Returns the values of a class of an enumeration, but for None."""
    body = next(node for node in parsed(wheel, module).body if isinstance(node, ast.ClassDef) and node.name == name).body
    values = [node.value.value for node in body if isinstance(node, ast.Assign)]
    return sorted(value for value in values if value is not None)


def set_of_strings(wheel, module, name):
    for node in parsed(wheel, module).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return set(ast.literal_eval(node.value.args[0]))
    raise SystemExit(f"{module} has no {name}")


def parsed(wheel, module):
    return ast.parse(wheel.read(f"{PACKAGE}/{module}"))


def package_of(wheel):
    metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    lines = wheel.read(metadata).decode("utf-8").splitlines()
    name, version = (next(line for line in lines if line.startswith(f"{key}: ")).split(": ")[1] for key in ("Name", "Version"))
    return f"{name} {version}"


def render(tables):
    return json.dumps(tables, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
