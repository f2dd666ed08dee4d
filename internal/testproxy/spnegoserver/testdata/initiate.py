"""Initiates SPNEGO by MIT's GSS-API: a token a line, in hex, on both pipes.

The argument is the channel binding in hex, or "-". The last line is "complete",
or "failed" and why.
"""

import sys

import gssapi
from gssapi.raw import ChannelBindings

SPNEGO = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")
FLAGS = gssapi.RequirementFlag.mutual_authentication | gssapi.RequirementFlag.integrity


def main():
    bindings = None
    if sys.argv[1] != "-":
        bindings = ChannelBindings(application_data=bytes.fromhex(sys.argv[1]))
    name = gssapi.Name("HTTP@proxy.example.com", gssapi.NameType.hostbased_service)
    context = gssapi.SecurityContext(
        name=name, mech=SPNEGO, usage="initiate", flags=FLAGS, channel_bindings=bindings
    )
    token = None
    while True:
        out = context.step(token)
        if out:
            print(out.hex(), flush=True)
        if context.complete:
            break
        token = bytes.fromhex(sys.stdin.readline())
    print("complete", flush=True)


try:
    main()
except gssapi.exceptions.GSSError as error:
    print("failed", str(error).replace("\n", " "), flush=True)
