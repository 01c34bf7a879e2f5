"""What schemathesis is to send where the document says a format of ours, or TOML.

Addresses are those of the gateway that tests/openapi.rs starts: with addresses of nowhere every request would end at the
first check. Wrong ones it makes by itself.
"""

import os
from pathlib import Path

import schemathesis
from hypothesis import strategies as st

ADDRESSES = ["198.18.1.1", "198.18.1.100", "198.18.2.11", "198.18.2.21", "198.18.2.100", "203.0.113.1", "0.0.0.0",
             "255.255.255.255", "2001:db8:1::1", "fe80::1", "::", "::ffff:198.18.2.21"]
PORTS = [0, 1, 53, 80, 443, 40000, 65535]


def socket_address(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@st.composite
def configurations(draw):
    """The gateway's own file, with a line left out, twice there, or spoilt; and anything."""
    lines = Path(os.environ["GATUN_CONFIG"]).read_text().splitlines()
    at = draw(st.integers(0, len(lines) - 1))
    change = draw(st.sampled_from(["none", "without", "twice", "spoilt", "anything"]))
    if change == "without":
        del lines[at]
    elif change == "twice":
        lines.insert(at, lines[at])
    elif change == "spoilt":
        lines[at] += draw(st.text(max_size=20))
    elif change == "anything":
        return draw(st.binary(max_size=200))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


schemathesis.openapi.format("ip-address", st.sampled_from(ADDRESSES))
schemathesis.openapi.format("socket-address", st.builds(socket_address, st.sampled_from(ADDRESSES), st.sampled_from(PORTS)))
schemathesis.openapi.media_type("application/toml", configurations())


captures = 0


@schemathesis.hook
def before_call(context, case, kwargs):
    """A capture may last minutes: one in eight lasts a second, the others are of a port that there is not."""
    global captures
    if case.operation.label != "POST /api/v1/captures" or not isinstance(case.body, dict):
        return
    seconds = case.body.get("seconds")
    if seconds is None or type(seconds) in (int, float) and 1 <= seconds <= 300:
        captures += 1
        if captures % 8 == 1:
            case.body["seconds"] = 1
        else:
            case.body["port"] = "nowhere"
