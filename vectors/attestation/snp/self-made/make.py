#!/usr/bin/env python3
"""Makes a chain that looks like AMD's for Milan and Turin, under keys of its own. Run in this folder; needs `cryptography`.

The keys of ARK, ASK and ASVK are thrown away; vcek.pk8 and vlek.pk8 sign the tests' reports.
"""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

DER = serialization.Encoding.DER
BEGIN, END = datetime.datetime(2023, 1, 1), datetime.datetime(2043, 1, 1)
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)
OID = "1.3.6.1.4.1.3704.1."
CHIP = bytes.fromhex(Path("../report_milan.hex").read_text())[0x1A0:0x1E0]


def name(common):
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Engineering"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Advanced Micro Devices"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def certificate(subject, issuer, public, signer, serial, extensions=()):
    builder = x509.CertificateBuilder(name(issuer), name(subject), public, serial, BEGIN, END)
    for oid, value in extensions:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(OID + oid), value)
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer, hashes.SHA384(), rsa_padding=PSS)


def integer(value):
    return bytes([2, 1, value]) if value < 128 else bytes([2, 2, 0, value])


def text(value):
    return bytes([22, len(value)]) + value.encode()


def endorsement(product, versions, *whose):
    numbers = {"bootloader": "3.1", "tee": "3.2", "snp": "3.3", "microcode": "3.8", "fmc": "3.9"}
    extensions = [("1", integer(0)), ("2", text(product)), *whose]
    return extensions + [(numbers[part], integer(value)) for part, value in versions.items()]


def revocations(issuer, signer, serials):
    builder = x509.CertificateRevocationListBuilder(name(issuer), BEGIN, END)
    for serial in serials:
        builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, BEGIN).build())
    return builder.sign(signer, hashes.SHA384(), rsa_padding=PSS)


vcek, vlek = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
pkcs8 = (DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
Path("vcek.pk8").write_bytes(vcek.private_bytes(*pkcs8))
Path("vlek.pk8").write_bytes(vlek.private_bytes(*pkcs8))
PROVIDER = ("5", text("CN=test.example"))
MILAN = {"bootloader": 3, "tee": 0, "snp": 8, "microcode": 115}
TURIN = {"fmc": 1, "bootloader": 2, "tee": 3, "snp": 4, "microcode": 200}
for product, stepping, chip, versions in [("Milan", "Milan-B0", CHIP, MILAN), ("Turin", "Turin", CHIP[:8], TURIN)]:
    ark, ask, asvk = (rsa.generate_private_key(65537, 2048) for _ in range(3))
    folder = Path(product.lower())
    folder.mkdir(exist_ok=True)

    def of_chip(*extra):
        extensions = endorsement(stepping, versions, ("4", chip), *extra)
        return certificate("SEV-VCEK", "SEV-" + product, vcek.public_key(), ask, 7, extensions)

    def of_provider(*whose):
        extensions = endorsement(product, versions, *whose)
        return certificate("SEV-VLEK", "SEV-VLEK-" + product, vlek.public_key(), asvk, 0, extensions)

    for file, made in {
        "ark": certificate("ARK-" + product, "ARK-" + product, ark.public_key(), ark, 1),
        "ask": certificate("SEV-" + product, "ARK-" + product, ask.public_key(), ark, 65536),
        "asvk": certificate("SEV-VLEK-" + product, "ARK-" + product, asvk.public_key(), ark, 65793),
        "vcek": of_chip(),
        "vcek-of-a-provider": of_chip(PROVIDER),
        "vlek": of_provider(PROVIDER),
        "vlek-of-nobody": of_provider(),
        "vlek-of-the-empty-name": of_provider(("5", text(""))),
        "vlek-of-a-chip": of_provider(PROVIDER, ("4", chip)),
        "revoked-nobody": revocations("ARK-" + product, ark, []),
        "revoked-ask": revocations("ARK-" + product, ark, [65536]),
        "revoked-asvk": revocations("ARK-" + product, ark, [65793]),
        "revoked-by-another": revocations("ARK-" + product, ask, []),
    }.items():
        (folder / (file + ".der")).write_bytes(made.public_bytes(DER))
