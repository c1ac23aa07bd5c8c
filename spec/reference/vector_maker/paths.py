"""Cases of the kinds path and root-name (F-30 to F-36)."""

from .case import Case

LONGEST = "m/" + "/".join(["x" * 255] * 3) + "/" + "y" * (1024 - 2 - 3 * 256)

GOOD = [
    ("longest", "F-31", LONGEST, "1,024 bytes"),
    ("one-byte-segments", "F-31", "m" + "/x" * 511, "512 segments of one byte"),
    ("longest-segment", "F-34", "m/" + "x" * 255, "a segment of 255 bytes"),
    ("percent", "F-33", "m/%2e%2e%2f", "an encoded ../, which stays as it is"),
    ("odd-characters", "F-33", "m/a b?#+&%~'\"<>|*$!.x", "what shells and URLs mind"),
    ("hidden-directory", "F-35", "m/.git/config", "a directory that Git hides"),
    ("decomposed", "F-31", "m/e\u0301", "é in two code points: nothing is normalised"),
    ("four-byte-characters", "F-32", "m/\U0001f40b", "a code point beyond U+FFFF"),
    ("dots-within", "F-34", "m/..a/...b/c..d", "dots that stand for no directory"),
    ("almost-a-device", "F-35", "m/console/com0/com10/lpt/nul_x/xcon", "no devices"),
    ("versions-within", "F-35", "m/a.versions.txt/versions", "no hidden keys"),
    ("space-first", "F-34", "m/ a", "a segment that begins with a space"),
    ("beside-the-forbidden", "F-33", "m/\u00a0\u2010\u202f\u2070\ufdcf\uff9f\ufffc",
     "code points just outside the forbidden ranges"),
]

BAD = [
    ("empty", "F-31", "", "no byte"),
    ("too-long", "F-31", LONGEST + "y", "1,025 bytes"),
    ("levels-10000", "F-31", "m" + "/x" * 10_000, "10,000 levels"),
    ("parent", "F-34", "m/../x", "a parent directory"),
    ("parent-first", "F-34", "../x", "a parent directory in the first place"),
    ("self", "F-34", "./a", "a directory itself"),
    ("self-last", "F-34", "m/a/.", "a directory itself in the last place"),
    ("absolute", "F-34", "/x", "a slash in the first place"),
    ("slash-twice", "F-34", "m//b", "an empty segment"),
    ("slash-last", "F-34", "m/a/", "a slash in the last place"),
    ("host", "F-34", "//host/x", "two slashes in the first place"),
    ("segment-too-long", "F-34", "m/" + "x" * 256, "a segment of 256 bytes"),
    ("dot-last", "F-34", "m/a.", "a segment that ends in a dot"),
    ("space-last", "F-34", "m/a /b", "a segment that ends in a space"),
    ("backslash", "F-33", "m/a\\b", "a backslash"),
    ("colon", "F-33", "m/a:b", "a colon"),
    ("drive", "F-33", "m/C:\\x", "a drive of Windows"),
    ("unc", "F-33", "m/\\\\host\\share", "a share of Windows"),
    ("device", "F-35", "m/NUL", "a device of Windows"),
    ("device-with-extension", "F-35", "m/aux.tar.gz", "a device, the extension is no matter"),
    ("device-in-mixed-case", "F-35", "m/CoM1", "a device in mixed case"),
    ("device-before-spaces", "F-35", "m/lpt9  .txt", "a device before spaces and a dot"),
    ("device-superscript", "F-35", "m/COM\u00b2", "a device with a superscript digit"),
    ("device-conin", "F-35", "m/conin$", "the input of the console"),
    ("device-directory", "F-35", "m/prn/x", "a device as a directory"),
    ("uploads", "F-35", "m/.uploads/x", "a directory that SeaweedFS hides"),
    ("versions", "F-35", "m/x.versions", "a directory that SeaweedFS hides"),
    ("root-not-a-name", "F-36", "Models/x", "a root in upper case"),
    ("root-with-space", "F-36", "my models/x", "a root with a space"),
    ("file-at-top", "F-36", "models", "a file without a root above it"),
]

INVALID_UTF8 = [
    ("not-utf8", b"m/\xff", "a byte that UTF-8 has not"),
    ("not-utf8-overlong", b"m/\xc0\xaf", "a slash in two bytes"),
    ("not-utf8-surrogate", b"m/\xed\xa0\x80", "half a surrogate pair"),
    ("not-utf8-cut", b"m/\xe2\x82", "a character that is cut off"),
    ("not-utf8-beyond", b"m/\xf4\x90\x80\x80", "a code point above U+10FFFF"),
]

# Both ends of each range of F-33.
FORBIDDEN = [
    0x00, 0x0A, 0x1B, 0x1F, 0x7F, 0x80, 0x9F, 0xAD, 0x34F, 0x61C, 0x115F, 0x1160,
    0x17B4, 0x17B5, 0x180B, 0x180F, 0x200B, 0x200F, 0x2028, 0x202E, 0x2060, 0x206F,
    0x3164, 0xFDD0, 0xFDEF, 0xFE00, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF0, 0xFFFB, 0x1BCA0,
    0x1BCA3, 0x1D173, 0x1D17A, 0xE0000, 0xE0FFF, 0xFFFE, 0xFFFF, 0x1FFFE, 0x10FFFF,
]

GOOD_ROOTS = [
    ("shortest", "m"),
    ("longest", "r" * 64),
    ("every-sign", "0a.b_c-d"),
]

BAD_ROOTS = [
    ("empty", "F-30", "", "no byte"),
    ("too-long", "F-30", "r" * 65, "65 bytes"),
    ("upper-case", "F-30", "Models", "a letter in upper case"),
    ("begins-with-dot", "F-30", ".models", "a dot in the first place"),
    ("begins-with-dash", "F-30", "-models", "a dash in the first place"),
    ("slash", "F-30", "a/b", "a slash"),
    ("newline", "F-30", "models\n", "a newline behind the name"),
    ("not-ascii", "F-30", "mod\u00e8les", "a letter that ASCII has not"),
    ("dot-last", "F-34", "models.", "a dot in the last place"),
    ("device", "F-35", "nul.d", "a device of Windows"),
    ("versions", "F-35", "a.versions", "a name that SeaweedFS hides"),
]


def cases():
    """The cases of this page."""
    for name, rule, path, about in GOOD:
        yield path_case(name, rule, path.encode(), about, "accepted")
    about = "a directory may be the root alone"
    yield path_case("directory-at-top", "F-36", b"models", about, "accepted", "directory")
    for name, rule, path, about in BAD:
        yield path_case(name, rule, path.encode(), about)
    for name, path, about in INVALID_UTF8:
        yield path_case(name, "F-32", path, about)
    for point in FORBIDDEN:
        path = f"m/a{chr(point)}b".encode()
        yield path_case(f"with-u-{point:04x}", "F-33", path, f"U+{point:04X}")
    for name, root in GOOD_ROOTS:
        yield Case("root-name", name, "F-30", "accepted", "A good name.", name=root)
    for name, rule, root, about in BAD_ROOTS:
        yield Case("root-name", name, rule, "untrusted", f"It has {about}.", name=root)


def path_case(name, rule, path, about, class_name="untrusted", entry="file"):
    about = about[0].upper() + about[1:] + "."
    keys = {"path": path.hex(), "entry": entry}
    return Case("path", name, rule, class_name, about, **keys)
