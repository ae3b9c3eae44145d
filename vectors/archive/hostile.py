#!/usr/bin/env python3
"""Makes the receipt vectors, hostile/*.zip and inside/*.zip from the archives of make.sh and make-age.sh, byte by byte.

No code of this project takes part: zip records are packed here a second time, from APPNOTE 6.3.10 and
docs/spec/archive.md A18. Same input, same output, but for openssl's RSA padding in make.sh's archives.
Usage: ./hostile.py       (Python 3.9, standard library, openssl)
"""
import base64
import hashlib
import os
import struct
import subprocess
import zipfile
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "hostile")
INSIDE = os.path.join(HERE, "inside")
KEY256 = "00112233445566778899aabbccddeeffffeeddccbbaa99887766554433221100"
IV = "000102030405060708090a0b0c0d0e0f"
FILE, FOLDER, LINK, DEVICE, FIFO = 0o100644 << 16, (0o040755 << 16) | 16, 0o120777 << 16, 0o020644 << 16, 0o010644 << 16
DATE = 0x0021


def read(name):
    with open(os.path.join(HERE, name), "rb") as file:
        return file.read()


def write(name, data, folder=OUT):
    with open(os.path.join(folder, name + ".zip"), "wb") as file:
        file.write(data)


def deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


class Zip:
    """A zip being packed; `at` remembers where each record and field stands."""

    def __init__(self):
        self.data, self.central, self.count, self.at = b"", [], 0, {}

    def add(self, name, content=b"", *, mode=FILE, method=0, zip64=False, descriptor=None, date=DATE, made=0x314,
            packed=None, size=None, crc=None, central=None, local=None, behind=b"", listed=True, extra=b""):
        """One entry. `size`, `crc`, `central`, `local` lie; `descriptor` is what stands behind the data."""
        name = name.encode() if isinstance(name, str) else name
        data = packed if packed is not None else (deflate(content) if method == 8 else content)
        size = len(content) if size is None else size
        crc = zlib.crc32(content) if crc is None else crc
        flags = (8 if descriptor is not None else 0) | (0 if name.isascii() else 0x800)
        fields = dict(flags=flags, method=method, time=0, date=date, crc=crc, packed=len(data), size=size)
        offset = len(self.data)
        l = dict(fields, **(local or {}))
        if descriptor is not None and local is None:
            l.update(crc=0, packed=0, size=0)
        wide = struct.pack("<HHQQ", 1, 16, l["size"], l["packed"]) if zip64 else b""
        sizes = (0xFFFFFFFF, 0xFFFFFFFF) if zip64 else (l["packed"], l["size"])
        head = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 45 if zip64 else 20, l["flags"], l["method"], l["time"],
                           l["date"], l["crc"], *sizes, len(name), len(wide) + len(extra))
        self.at[name.decode("latin1")] = (offset, offset + len(head) + len(name) + len(wide) + len(extra))
        self.data += head + name + wide + extra + data + (descriptor or b"") + behind
        c = {**fields, "offset": offset, **(central or {})}
        if listed:
            self.count += 1
            self.central.append(struct.pack(
                "<4sHHHHHHIIIHHHHHII", b"PK\1\2", made, 20, c["flags"], c["method"], c["time"], c["date"], c["crc"],
                c["packed"], c["size"], len(c.get("name", name)), len(c.get("extra", b"")), 0, 0, 0,
                c.get("mode", mode), c["offset"]) + c.get("name", name) + c.get("extra", b""))
        return self

    def end(self, *, count=None, size=None, offset=None, comment=b"", before=b""):
        central = b"".join(self.central)
        start = len(self.data)
        count = self.count if count is None else count
        return self.data + central + before + struct.pack(
            "<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(central) if size is None else size,
            start if offset is None else offset, len(comment)) + comment


def listing(*entries):
    """What `seal` of crates/archive/examples writes: stands for a signed receipt."""
    return "".join(f"0x{hashlib.sha256(d).hexdigest()} {len(d)} {n}\n" for n, d in entries).encode()


def canonical(key, body, receipt=None):
    zipped = Zip().add("aes-key.rsa", key).add("iexec_out.zip.aes", body, zip64=True)
    return zipped.add("receipt.json", receipt or listing(("aes-key.rsa", key), ("iexec_out.zip.aes", body)))


def flip(data, at, bits=0x01):
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1:]


def flips(good, zipped):
    """A bit in every field of every kind of record."""
    local, _ = zipped.at["aes-key.rsa"]
    body, body_data = zipped.at["iexec_out.zip.aes"]
    receipt_data = zipped.at["receipt.json"][1]
    central, end = len(zipped.data), len(good) - 22
    fields = {
        "local": (local, dict(signature=0, version=4, flags=6, method=8, time=10, date=12, crc=14, packed=18, size=22,
                              name_length=26, extra_length=28, name=30)),
        "zip64": (body + 30 + 17, dict(id=0, length=2, size=4, packed=12)),
        "central": (central, dict(signature=0, made_by=4, version=6, flags=8, method=10, time=12, date=14, crc=16,
                                  packed=20, size=24, name_length=28, extra_length=30, comment_length=32, disk=34,
                                  internal=36, external=38, offset=42, name=46)),
        "end": (end, dict(signature=0, disk=4, central_disk=6, count_here=8, count=10, size=12, offset=16,
                          comment_length=20)),
    }
    for record, (start, names) in fields.items():
        for field, at in names.items():
            write(f"flip-{record}-{field.replace('_', '-')}", flip(good, start + at))
    write("flip-content-key", flip(good, zipped.at["aes-key.rsa"][1] + 7))
    write("flip-content-iv", flip(good, body_data))
    write("flip-content-body", flip(good, body_data + 100))
    write("flip-content-receipt", flip(good, receipt_data + 70))


def cuts(good, zipped):
    key, body, receipt = (zipped.at[n] for n in ("aes-key.rsa", "iexec_out.zip.aes", "receipt.json"))
    places = {"nothing": 0, "first-header": 30, "key-start": key[1], "key-end": body[0], "body-start": body[1],
              "body-middle": body[1] + 48, "body-end": receipt[0], "receipt-start": receipt[1],
              "receipt-end": len(zipped.data), "central-middle": len(zipped.data) + 60, "central-end": len(good) - 22,
              "end-middle": len(good) - 10, "last-byte": len(good) - 1}
    for name, size in places.items():
        write(f"cut-{name}", good[:size])


def receipts(key, body, other_key, other_body):
    """Sound zips that the receipt does not describe, and zips that are not what a writer of receipts writes."""
    entries = [("aes-key.rsa", key), ("iexec_out.zip.aes", body)]
    own, other = listing(*entries), listing(("aes-key.rsa", other_key), ("iexec_out.zip.aes", other_body))
    write("receipt-of-another-task", canonical(key, body, other).end())
    write("receipt-forged", canonical(key, body, own.replace(b"0x", b"0X", 1)).end())
    write("receipt-body-of-another-task", canonical(key, other_body, own).end())
    write("receipt-key-of-another-task", canonical(other_key, body, own).end())
    write("receipt-body-flipped", canonical(key, flip(body, 40), own).end())
    write("receipt-body-cut-by-a-block", canonical(key, body[:-16], own).end())
    write("receipt-contents-swapped", canonical(body, key, own).end())
    write("receipt-empty-list", canonical(key, body, b"\n").end())
    reordered = Zip().add("iexec_out.zip.aes", body, zip64=True).add("aes-key.rsa", key).add("receipt.json", own)
    write("receipt-reordered", reordered.end())
    first = Zip().add("receipt.json", own).add("aes-key.rsa", key).add("iexec_out.zip.aes", body, zip64=True)
    write("receipt-first", first.end())
    write("receipt-extra-entry", canonical(key, body).add("extra.txt", b"x").end())
    make = lambda **kw: Zip().add("aes-key.rsa", key).add("iexec_out.zip.aes", body, zip64=True).add("receipt.json", own, **kw)
    write("receipt-deflated", make(method=8).end())
    write("receipt-dated", make(date=0x5021).end())
    write("receipt-mode", make(mode=0o100600 << 16).end())
    write("receipt-made-by-dos", make(made=20).end())
    write("receipt-extra-field", make(extra=struct.pack("<HHI", 0x5455, 4, 0)).end())
    write("receipt-body-without-zip64", Zip().add("aes-key.rsa", key).add("iexec_out.zip.aes", body).add("receipt.json", own).end())
    write("receipt-commented", canonical(key, body).end(comment=b"hello"))
    write("receipt-behind-bytes", b"\0" + canonical(key, body).end())
    write("receipt-before-bytes", canonical(key, body).end() + b"\0")


def structure(key, body):
    """Zips that can be read in more than one way; no receipt."""
    pair = lambda: Zip().add("aes-key.rsa", key).add("iexec_out.zip.aes", body)
    write("zip-two-of-one-name", pair().add("aes-key.rsa", key).end())
    write("zip-overlap-same-header", pair().add("x", b"", listed=True, central=dict(offset=0)).end())
    inside = Zip().add("aes-key.rsa", key, size=len(key) + 40, local=dict(size=len(key) + 40, packed=len(key) + 40),
                       central=dict(packed=len(key) + 40)).add("iexec_out.zip.aes", body)
    write("zip-overlap-inside", inside.end())
    write("zip-hidden-entry", pair().add("hidden", b"x", listed=False).end())
    write("zip-gap", Zip().add("aes-key.rsa", key, behind=b"\0\0").add("iexec_out.zip.aes", body).end())
    write("zip-other-name-in-front", Zip().add("aes-key.rsa", key, central=dict(name=b"aes-key.rsb"))
          .add("iexec_out.zip.aes", body).end())
    write("zip-other-size-in-front", Zip().add("aes-key.rsa", key, local=dict(size=1)).add("iexec_out.zip.aes", body).end())
    write("zip-other-method-in-front", Zip().add("aes-key.rsa", key, local=dict(method=8)).add("iexec_out.zip.aes", body).end())
    write("zip-count-too-small", pair().end(count=1))
    write("zip-count-too-large", pair().end(count=3))
    write("zip-count-65534", pair().end(count=65534))
    write("zip-directory-size-lies", pair().end(size=46))
    write("zip-directory-of-2-gib", pair().end(size=0x7FFFFFFF))
    write("zip-directory-elsewhere", pair().end(offset=0))
    write("zip-two-ends", pair().end() + pair().end()[-22:])
    write("zip-compression-lzma", Zip().add("aes-key.rsa", key, method=14, packed=key).add("iexec_out.zip.aes", body).end())
    # Descriptors (4.3.9)
    sound = struct.pack("<4sIII", b"PK\7\x08", zlib.crc32(key), len(key), len(key))
    with_descriptor = lambda d, **kw: Zip().add("aes-key.rsa", key, descriptor=d, **kw).add("iexec_out.zip.aes", body).end()
    write("descriptor-crc", with_descriptor(flip(sound, 4)))
    write("descriptor-packed", with_descriptor(flip(sound, 8)))
    write("descriptor-size", with_descriptor(flip(sound, 12)))
    write("descriptor-missing", with_descriptor(b""))
    write("descriptor-cut", with_descriptor(sound[:-1]))
    write("descriptor-without-flag", Zip().add("aes-key.rsa", key, behind=sound).add("iexec_out.zip.aes", body).end())
    write("descriptor-contradicts-header", with_descriptor(sound, local=dict(flags=8, crc=1)))
    # zip64 (4.3.14, 4.3.15, 4.5.3)
    wide = lambda **c: Zip().add("aes-key.rsa", key, central=dict(**c)).add("iexec_out.zip.aes", body).end()
    write("zip64-field-missing", wide(size=0xFFFFFFFF))
    write("zip64-field-short", wide(size=0xFFFFFFFF, extra=struct.pack("<HHI", 1, 4, 5)))
    write("zip64-field-beyond-end", wide(size=0xFFFFFFFF, extra=struct.pack("<HHQ", 1, 80, 5)))
    write("zip64-size-lies", wide(size=0xFFFFFFFF, extra=struct.pack("<HHQ", 1, 8, 1 << 40)))
    huge = struct.pack("<HHQQ", 1, 16, 1 << 63, 1 << 63)
    write("zip64-exabytes", wide(size=0xFFFFFFFF, packed=0xFFFFFFFF, extra=huge))
    write("zip64-offset-lies", wide(offset=0xFFFFFFFF, extra=struct.pack("<HHQ", 1, 8, 1 << 62)))
    def end64(count=2, size=None, offset=None, at=None, length=44, disks=0, short=0xFFFF):
        zipped = pair()
        central, start = b"".join(zipped.central), len(zipped.data)
        size, offset = len(central) if size is None else size, start if offset is None else offset
        record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", length, 45, 45, disks, disks, count, count, size, offset)
        locator = struct.pack("<4sIQI", b"PK\6\7", 0, start + len(central) if at is None else at, 1)
        return zipped.end(count=short, before=record + locator)
    write("zip64-end-count-lies", end64(count=3))
    write("zip64-end-count-2-to-60", end64(count=1 << 60))
    write("zip64-end-offset-lies", end64(offset=1 << 40))
    write("zip64-end-size-lies", end64(size=1 << 40))
    write("zip64-end-contradicts-short", end64(count=2, short=1))
    write("zip64-end-record-length", end64(length=45))
    write("zip64-end-split", end64(disks=1))
    write("zip64-locator-lies", end64(at=1))
    write("zip64-locator-missing", pair().end(count=0xFFFF))
    # Contents
    pack = deflate(key)
    bad = lambda **kw: Zip().add("aes-key.rsa", key, method=8, **kw).add("iexec_out.zip.aes", body).end()
    write("deflate-cut", bad(packed=pack[:-3]))
    write("deflate-bytes-behind", bad(packed=pack + b"hidden"))
    write("deflate-garbage", bad(packed=b"\xff" * 64))
    write("deflate-longer-than-declared", bad(packed=deflate(key + b"x")))
    write("deflate-shorter-than-declared", bad(packed=deflate(key[:-1])))
    write("content-crc", Zip().add("aes-key.rsa", key, crc=1).add("iexec_out.zip.aes", body).end())


def results():
    """Results that must not be unpacked: plain archives, `computed.json` first so that they are told as such."""
    plain = lambda: Zip().add("computed.json", b"{}")
    for name, path in {
        "parent": "../evil", "parent-inside": "a/../../evil", "absolute": "/etc/evil", "backslash": "..\\evil",
        "dot": "./evil", "empty-part": "a//evil", "nul": "evil\0.txt", "newline": "evil\n.txt", "drive": "C:evil",
        "stream": "file.txt:evil", "device": "sub/CON", "device-extension": "nul.txt", "device-port": "COM1",
        "trailing-dot": "evil.", "trailing-blank": "sub /evil", "wildcard": "ev?l", "long": "a" * 1025,
    }.items():
        write(f"unpack-name-{name}", plain().add(path, b"x").end())
    write("unpack-name-not-utf8", plain().add(b"\xff\xfe", b"x").end())
    write("unpack-link", plain().add("link", b"/etc/passwd", mode=LINK).end())
    write("unpack-link-then-file", plain().add("dir", b"/tmp", mode=LINK).add("dir/evil", b"x").end())
    write("unpack-device", plain().add("null", b"", mode=DEVICE).end())
    write("unpack-fifo", plain().add("fifo", b"", mode=FIFO).end())
    write("unpack-folder-with-content", plain().add("dir/", b"x", mode=FOLDER).end())
    write("unpack-folder-called-file", plain().add("dir/", b"", mode=FILE).end())
    write("unpack-twice", plain().add("a", b"1").add("a", b"2").end())
    write("unpack-file-and-folder", plain().add("a", b"1").add("a/", mode=FOLDER).end())
    write("unpack-below-a-file", plain().add("a", b"1").add("a/b", b"2").end())
    write("unpack-above-a-file", plain().add("a/b", b"1").add("a", b"2").end())
    write("unpack-case", plain().add("Readme", b"1").add("README", b"2").end())
    write("unpack-case-of-folder", plain().add("Sub/a", b"1").add("sub/b", b"2").end())
    write("unpack-composition", plain().add("caf\u00e9", b"1").add("cafe\u0301", b"2").end())
    write("unpack-sharp-s", plain().add("stra\u00dfe", b"1").add("STRASSE", b"2").end())
    # Bombs
    zeros = bytes(30_000_000)
    write("bomb-ratio", plain().add("zeros", zeros, method=8).end())
    write("bomb-declared", plain().add("zeros", b"", size=1 << 31, method=8, packed=deflate(b"")).end())
    write("bomb-undeclared", plain().add("zeros", b"", size=100, method=8, packed=deflate(zeros)).end())
    many = plain()
    for number in range(201):
        many.add(f"{number}")
    write("bomb-entries", many.end())
    # 42.zip kind: one kernel of deflated data, many entries that claim it (overlapping).
    kernel = plain().add("0", zeros[:1_000_000], method=8)
    for number in range(1, 20):
        template = kernel.central[1]
        kernel.central.append(template[:46] + b"%x" % (number % 16) + template[47:])
        kernel.count += 1
    write("bomb-overlap", kernel.end())
    # Quoted overlap (Fifield 2019): each file's data begins with the next one's header, quoted in a stored block.
    nested = deflate(zeros[:1_000_000])
    inner = Zip().add("b", zeros[:1_000_000], method=8)
    quoted = struct.pack("<BHH", 0, len(inner.data) - len(nested), (len(inner.data) - len(nested)) ^ 0xFFFF)
    content = inner.data[:-len(nested)] + zeros[:1_000_000]
    fifield = Zip().add("a", content, method=8, packed=quoted + inner.data)
    start = fifield.at["a"][1] + len(quoted)
    packed = struct.pack("<I", start)
    fifield.central.append(inner.central[0][:42] + packed + inner.central[0][46:])
    fifield.count += 1
    write("bomb-quoted-overlap", fifield.end())


def inside(key):
    """Archives without a receipt around results that must not be unpacked."""
    def sealed(result):
        return bytes.fromhex(IV) + subprocess.run(
            ["openssl", "enc", "-aes-256-cbc", "-K", KEY256, "-iv", IV], input=result, capture_output=True, check=True).stdout
    for name, zipped in {
        "parent": Zip().add("computed.json", b"{}").add("../evil", b"x").end(),
        "link": Zip().add("computed.json", b"{}").add("link", b"/etc/passwd", mode=LINK).end(),
        "case": Zip().add("A", b"1").add("a", b"2").end(),
        "bomb": Zip().add("zeros", bytes(30_000_000), method=8).end(),
        "hidden": Zip().add("a", b"1").add("b", b"2", listed=False).end(),
        "stored-without-size": Zip().add("a", b"1", descriptor=struct.pack("<4sIII", b"PK\7\x08", zlib.crc32(b"1"), 1, 1)).end(),
        "bytes-behind": Zip().add("a", b"1").end() + b"x",
        "no-zip": b"hello, world",
    }.items():
        write(name, Zip().add("aes-key.rsa", key).add("iexec_out.zip.aes", sealed(zipped)).end(), INSIDE)


def age(body):
    """age files that do not open; `body` is one to age-recipient.txt, made by age itself."""
    own = listing(("iexec_out.zip.age", body))
    signed = lambda b: Zip().add("iexec_out.zip.age", b, zip64=True).add("receipt.json", own).end()
    make = lambda b: Zip().add("iexec_out.zip.age", b).end()
    with open(os.path.join(HERE, "age-receipt.zip"), "wb") as file:
        file.write(signed(body))
    header = body.index(b"\n---") + 1
    payload = body.index(b"\n", header) + 1
    write("age-flip-header-field", flip(signed(body), 6))
    write("age-receipt-of-another-task", signed(flip(body, payload + 40)))
    write("age-version", make(body.replace(b"/v1", b"/v2", 1)))
    write("age-stanza", make(flip(body, body.index(b"X25519 ") + 9, 0x02)))
    write("age-mac", make(flip(body, header + 6, 0x02)))
    write("age-nonce", make(flip(body, payload)))
    write("age-payload", make(flip(body, payload + 40)))
    write("age-cut-payload", make(body[:-1]))
    write("age-cut-chunk", make(body[:payload + 16]))
    write("age-cut-header", make(body[:header + 10]))
    write("age-more-payload", make(body + b"x"))
    stanza = body[body.index(b"-> "):header]
    write("age-33-recipients", make(body.replace(stanza, stanza * 33)))
    write("age-header-without-end", make(b"age-encryption.org/v1\n-> X25519 abc\n" + (b"A" * 64 + b"\n") * 1100))
    write("age-empty", make(b""))
    both = Zip().add("iexec_out.zip.age", body).add("aes-key.rsa", b"k").add("iexec_out.zip.aes", b"b")
    write("age-and-layout-c", both.end())


def greedy_key():
    """A key file whose scrypt asks for 254 MiB: r = 127 in place of 8."""
    lines = read("rsa2048-passphrase-scrypt.pem").decode().split()
    der = base64.b64decode("".join(lines[4:-4]))
    at = der.index(b"\x02\x02\x40\x00\x02\x01\x08") + 6
    text = base64.b64encode(der[:at] + b"\x7f" + der[at + 1:]).decode()
    with open(os.path.join(HERE, "rsa2048-passphrase-memory.pem"), "w") as file:
        body = "\n".join(text[i:i + 64] for i in range(0, len(text), 64))
        file.write(f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}\n-----END ENCRYPTED PRIVATE KEY-----\n")


def main():
    os.makedirs(OUT, exist_ok=True)
    os.makedirs(INSIDE, exist_ok=True)
    with zipfile.ZipFile(os.path.join(HERE, "c-rsa2048.zip")) as c:
        key, body = c.read("aes-key.rsa"), c.read("iexec_out.zip.aes")
    with zipfile.ZipFile(os.path.join(HERE, "hostile", "short-data-key.zip")) as c:
        other_key, other_body = c.read("aes-key.rsa"), c.read("iexec_out.zip.aes")
    zipped = canonical(key, body)
    good = zipped.end()
    for name, data in (("c-receipt.zip", good), ("c-receipt-other.zip", canonical(other_key, other_body).end())):
        with open(os.path.join(HERE, name), "wb") as file:
            file.write(data)
    flips(good, zipped)
    cuts(good, zipped)
    receipts(key, body, other_key, other_body)
    structure(key, body)
    results()
    inside(key)
    age(read("results.zip.age"))
    greedy_key()


main()
