"""What stands in for each name that Segment's runtime has: the document's list of dependencies, in its order.

Checked by `tests/test_docs.py` against what functions may import.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Equivalent(NamedTuple):
    """One name of the document's list."""

    dependency: str
    exposed_as: str
    here: str
    """What to write, for an author."""
    modules: str = ""
    """Those of `here` that are imported, separated by spaces."""
    is_later: bool = False
    """A vendor's SDK: it comes later; `here` says what does until then."""


_REST: Final = "`fetch` to its REST API"
_GOOGLE: Final = "`fetch` to its REST API, with a service account's token made by `jwt`"

EQUIVALENTS: Final = (
    Equivalent("atob", "atob", "`base64.b64decode`", "base64"),
    Equivalent(
        "aws-sdk",
        "AWS",
        "`fetch`, signed (version 4) with `hmac` and `hashlib`",
        "hmac hashlib",
        is_later=True,
    ),
    Equivalent("btoa", "btoa", "`base64.b64encode`", "base64"),
    Equivalent("fetch-retry", "fetchretrylib.fetchretry", "`raise RetryError(…)`: the engine tries again"),
    Equivalent("form-data", "FormData", '`fetch(url, method="POST", data={…}, files={…})`'),
    Equivalent("@google-cloud/automl", "google.cloud.automl", _GOOGLE, "jwt", is_later=True),
    Equivalent("@google-cloud/bigquery", "google.cloud.bigquery", _GOOGLE, "jwt", is_later=True),
    Equivalent("@google-cloud/datastore", "google.cloud.datastore", _GOOGLE, "jwt", is_later=True),
    Equivalent("@google-cloud/firestore", "google.cloud.firestore", _GOOGLE, "jwt", is_later=True),
    Equivalent("@google-cloud/functions", "google.cloud.functions", _GOOGLE, "jwt", is_later=True),
    Equivalent("@google-cloud/pubsub", "google.cloud.pubsub", _GOOGLE, "jwt", is_later=True),
    Equivalent("@google-cloud/storage", "google.cloud.storage", _GOOGLE, "jwt", is_later=True),
    Equivalent("@google-cloud/tasks", "google.cloud.tasks", _GOOGLE, "jwt", is_later=True),
    Equivalent("hubspot-api-nodejs", "hubspotlib.hubspot", _REST, is_later=True),
    Equivalent("jsforce", "jsforce", f"{_REST} (Salesforce)", is_later=True),
    Equivalent("jsonwebtoken", "jsonwebtoken", "`jwt`", "jwt"),
    Equivalent("libphonenumber-js", "libphonenumberjslib.libphonenumberjs", "`phonenumbers`", "phonenumbers"),
    Equivalent("lodash", "_", "`pydash` (`from pydash import _`)", "pydash"),
    Equivalent("mailchimp marketing", "mailchimplib.mailchimp", _REST, is_later=True),
    Equivalent("mailjet", "nodemailjet.nodemailjet", _REST, is_later=True),
    Equivalent(
        "moment-timezone", "moment", "`whenever`, or `datetime` and `zoneinfo`", "whenever datetime zoneinfo"
    ),
    Equivalent("node-fetch", "fetch", "`fetch`, or `httpx` and `requests`", "httpx requests"),
    Equivalent(
        "oauth",
        "OAuth",
        "`fetch`, signed with `hmac` (OAuth 1) or with a bearer token (OAuth 2)",
        "hmac",
        is_later=True,
    ),
    Equivalent("@sendgrid/client", "sendgrid.client", _REST, is_later=True),
    Equivalent("@sendgrid/mail", "sendgrid.mail", _REST, is_later=True),
    Equivalent("skyflow", "skyflowlib.skyflow", _REST, is_later=True),
    Equivalent("stripe", "stripe", f"{_REST}, a form: `data={{…}}`", is_later=True),
    Equivalent("twilio", "twilio", f"{_REST}, a form: `data={{…}}`", is_later=True),
    Equivalent("uuidv5", "uuidv5.uuidv5", "`uuid.uuid5(uuid.NAMESPACE_URL, text)`", "uuid"),
    Equivalent("winston", "winstonlib.winston", "`console`, or `logging`", "logging"),
    Equivalent("xml", "xml", "`xmltodict.unparse`", "xmltodict"),
    Equivalent("xml2js", "xml2js", "`xmltodict.parse`", "xmltodict"),
    Equivalent("zlib", "zlib.zlib", "`zlib`, `gzip`", "zlib gzip"),
    Equivalent(
        "crypto (of Node.js)",
        "crypto",
        "`hashlib`, `hmac`, `secrets`; ciphers and keys: `cryptography`",
        "hashlib hmac secrets cryptography",
    ),
    Equivalent("https (of Node.js)", "https", "`fetch`"),
)
