"""Provisions the test domain into a folder: `samba_provision.py FOLDER ADMIN_PASSWORD SERVICE_PASSWORD`.

The sysvol ACL step is left out: it needs root's extended attributes, and no files are served here.
"""

import logging
import os
import subprocess
import sys

sys.path.insert(0, "/usr/lib/python3/dist-packages")

from samba.auth import system_session  # noqa: E402
from samba.param import LoadParm  # noqa: E402
from samba.provision import provision  # noqa: E402
from samba.samdb import SamDB  # noqa: E402

# Identifiers from Microsoft's Active Directory schema and its extended rights.
USER = "bf967aba-0de6-11d0-a285-00aa003049e2"
GROUP = "bf967a9c-0de6-11d0-a285-00aa003049e2"
USER_ACCOUNT_CONTROL = "bf967a68-0de6-11d0-a285-00aa003049e2"
ACCOUNT_EXPIRES = "bf967915-0de6-11d0-a285-00aa003049e2"
MEMBER = "bf9679c0-0de6-11d0-a285-00aa003049e2"
PRIMARY_GROUP_ID = "bf967a00-0de6-11d0-a285-00aa003049e2"
MANAGER = "bf9679b5-0de6-11d0-a285-00aa003049e2"
MANAGED_BY = "0296c120-40da-11d1-a9c0-0000f80367c1"
RESET_PASSWORD = "00299570-246d-11d0-a768-00aa006e0529"

folder, admin_password, service_password = sys.argv[1:]
base = "DC=corp,DC=example,DC=test"
config = os.path.join(folder, "etc/smb.conf")
os.makedirs(os.path.dirname(config), exist_ok=True)
logging.basicConfig(level=logging.WARNING)
provision(
    logging.getLogger(),
    system_session(),
    smbconf=config,
    targetdir=folder,
    realm="CORP.EXAMPLE.TEST",
    domain="CORP",
    hostname="dc1",
    hostip="127.0.0.1",
    adminpass=admin_password,
    serverrole="active directory domain controller",
    dns_backend="NONE",
    dom_for_fun_level=4,
    use_rfc2307=False,
    skip_sysvolacl=True,
    useeadb=False,
    lp=LoadParm(),
)

parameters = LoadParm()
parameters.load(config)
database = os.path.join(folder, "private/sam.ldb")
domain = SamDB(url=database, session_info=system_session(), lp=parameters)
for name in ("Staff", "Leavers"):
    domain.create_ou(f"OU={name},{base}")
domain.newuser("svc-offboard", service_password)
domain.setexpiry("(sAMAccountName=svc-offboard)", 0, no_expiry_req=True)
found = domain.search(base, expression="(sAMAccountName=svc-offboard)", attrs=["objectSid"])
sid = domain.schema_format_value("objectSid", found[0]["objectSid"][0]).decode()

rights = [
    ("CIIO", "RPWP", USER_ACCOUNT_CONTROL, USER),
    ("CIIO", "RPWP", ACCOUNT_EXPIRES, USER),
    ("CIIO", "CR", RESET_PASSWORD, USER),
    ("CIIO", "RPWP", PRIMARY_GROUP_ID, USER),
    ("CIIO", "RPWP", MANAGER, USER),
    ("CIIO", "RPWP", MEMBER, GROUP),
    ("CI", "RPWP", MANAGED_BY, ""),
]
sddl = "".join(f"(OA;{flags};{right};{what};{on};{sid})" for flags, right, what, on in rights)
del domain
subprocess.run(
    ["samba-tool", "dsacl", "set", "-s", config, "-H", database, f"--objectdn=OU=Staff,{base}", f"--sddl={sddl}"],
    check=True,
    stdout=subprocess.DEVNULL,
)
