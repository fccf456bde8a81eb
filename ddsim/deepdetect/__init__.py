"""DeepDetect's REST API as typed calls: the client, what it sends and gets, and what it refuses so that no server dies.

From the top down: leases (who works on an index, on whatever machine), services (a service is made to be as
configured), several servers as one client, the client (one method a call), its plans (the rules, which only yield
steps: administering, labelling, indexing, predicting, parts, on one core), calls (plans carried out, with limits and
retries, and the error an answer stands for), the transport (one exchange, the seam that tests and the embedded server
stand behind) and HTTP. Uses pictures and errors; every house that talks to a server uses it.
"""

from ddsim.deepdetect.address import Credentials, shown_address, split_address
from ddsim.deepdetect.asynchronous import AsyncClient, ThreadedTransport
from ddsim.deepdetect.calls import Calls, TimeLimits
from ddsim.deepdetect.canary import SAME, SAME_FILES, Canary, differing, drawn, right_one
from ddsim.deepdetect.checks import check_list, is_whole
from ddsim.deepdetect.client import Client
from ddsim.deepdetect.described import Capabilities, Info, ServiceInfo
from ddsim.deepdetect.http import HttpTransport
from ddsim.deepdetect.http_deadline import DeadlineAdapter, whole_within
from ddsim.deepdetect.leases import Holder, Lease, holder_of, holders, is_lease
from ddsim.deepdetect.results import Classification, Ensured, Label, Match, SearchReply, Vectors, closeness_by
from ddsim.deepdetect.retries import Retries
from ddsim.deepdetect.services import differences, ensure, is_of_ddsim, mark_of, shared
from ddsim.deepdetect.several import NO_INDEX, Several, members_of
from ddsim.deepdetect.specs import INDEX_TYPE, ServiceSpec, check_uri, service_name
from ddsim.deepdetect.training import TrainingStatus
from ddsim.deepdetect.transport import AsyncTransport, Reply, Timeout, Transport, ValueTransport

__all__ = [
    "INDEX_TYPE",
    "NO_INDEX",
    "SAME",
    "SAME_FILES",
    "AsyncClient",
    "AsyncTransport",
    "Calls",
    "Canary",
    "Capabilities",
    "Classification",
    "Client",
    "Credentials",
    "DeadlineAdapter",
    "Ensured",
    "Holder",
    "HttpTransport",
    "Info",
    "Label",
    "Lease",
    "Match",
    "Reply",
    "Retries",
    "SearchReply",
    "ServiceInfo",
    "ServiceSpec",
    "Several",
    "ThreadedTransport",
    "TimeLimits",
    "Timeout",
    "TrainingStatus",
    "Transport",
    "ValueTransport",
    "Vectors",
    "check_list",
    "check_uri",
    "closeness_by",
    "differences",
    "differing",
    "drawn",
    "ensure",
    "holder_of",
    "holders",
    "is_lease",
    "is_of_ddsim",
    "is_whole",
    "mark_of",
    "members_of",
    "right_one",
    "service_name",
    "shared",
    "shown_address",
    "split_address",
    "whole_within",
]
