"""A certificate for a host on this machine, and the authority that a client trusts it by. Owns nothing.

Made on the fly with `trustme`, which comes with the extra `simulator`: the standard library cannot make certificates. The
authority is as short-lived as the process: its key is never written.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class LocalCertificate:
    """What a simulator serves `wss://` with, and what its clients need to know.

    Args:
        ssl_context: For `Simulator(ssl_context=...)`.
        ca_pem: The authority's certificate: what a client must trust (`ssl.create_default_context(cadata=...)`, or a file
            that `SSL_CERT_FILE` names).
    """

    ssl_context: ssl.SSLContext
    ca_pem: str

    @classmethod
    def make(cls, *hosts: str) -> Self:
        """Make one for the given names and addresses; for none: `localhost`, `127.0.0.1` and `::1`.

        Raises:
            ImportError: `trustme` is not installed; the text says what to do.
        """
        try:
            import trustme
        except ImportError as error:
            raise ImportError(
                "a certificate made on the fly needs the package 'trustme': pip install 'trunkline[simulator]'"
            ) from error
        authority = trustme.CA(organization_name="Trunkline simulator")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*(hosts or ("localhost", "127.0.0.1", "::1"))).configure_cert(context)
        return cls(context, authority.cert_pem.bytes().decode())
