"""A SOAP service with the part of Workday's Get_Workers that a leaver source needs, on spyne.

The stack parses, checks every request against the schema made of the types below, and writes the faults; what Workday does
is written from its published operation pages. The workers are read from a JSON file at each request:

    {"user": …, "password": …, "broken": …, "workers": [{"wid", "id", "universal", "contingent", "email", "name", "manager",
      "department", "site", "country", "hired", "changes": [{"entered", "effective", "rescinded", "status": {…}}]}]}

A change is seen from its effective date on, and only while it is not rescinded.
"""

import datetime
import json
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from lxml import etree
from spyne import (AnyXml, Application, Array, Boolean, ComplexModel, Date, DateTime, Decimal, Fault, ServiceBase, Unicode,
                   XmlAttribute, XmlData, rpc)
from spyne.interface.xml_schema import model as schema
from spyne.protocol.soap import Soap11
from spyne.server.wsgi import WsgiApplication

BSVC = "urn:com.workday/bsvc"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
PASSWORD_TEXT = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText"
STATE = sys.argv[2]


def qualified(cls, name, element, document, as_before=schema.xml_attribute_add):
    """Workday's own attributes carry its namespace (attributeFormDefault), which spyne cannot say."""
    as_before(cls, name, element, document)
    if name == "version":
        element.set("form", "qualified")


schema.xml_attribute_add = qualified


class Password(ComplexModel):
    __namespace__ = WSSE
    Type = XmlAttribute(Unicode)
    value = XmlData(Unicode)


class UsernameToken(ComplexModel):
    __namespace__ = WSSE
    _type_info = [("Username", Unicode), ("Password", Password)]


class Security(ComplexModel):
    __namespace__ = WSSE
    UsernameToken = UsernameToken


class Bsvc(ComplexModel):
    __namespace__ = BSVC


class Transaction_Date_Range_Data(Bsvc):
    _type_info = [("Updated_From", DateTime), ("Updated_Through", DateTime),
                  ("Effective_From", DateTime), ("Effective_Through", DateTime)]


class Transaction_Log_Criteria_Data(Bsvc):
    _type_info = [("Transaction_Date_Range_Data", Transaction_Date_Range_Data)]


class Request_Criteria(Bsvc):
    _type_info = [("Transaction_Log_Criteria_Data", Transaction_Log_Criteria_Data),
                  ("Exclude_Inactive_Workers", Boolean), ("Exclude_Employees", Boolean),
                  ("Exclude_Contingent_Workers", Boolean)]


class Response_Filter(Bsvc):
    _type_info = [("As_Of_Effective_Date", Date), ("As_Of_Entry_DateTime", DateTime),
                  ("Page", Decimal(12, 0)), ("Count", Decimal(3, 0))]


class Response_Group(Bsvc):
    _type_info = [(name, Boolean) for name in (
        "Include_Reference", "Include_Personal_Information", "Include_Employment_Information", "Include_Compensation",
        "Include_Organizations", "Include_Roles", "Include_Management_Chain_Data")]


class Response_Results(Bsvc):
    _type_info = [(name, Decimal(12, 0)) for name in ("Total_Results", "Total_Pages", "Page_Results", "Page")]


class Get_Workers_Request(Bsvc):
    _type_info = [("version", XmlAttribute(Unicode)), ("Request_Criteria", Request_Criteria),
                  ("Response_Filter", Response_Filter), ("Response_Group", Response_Group)]


class Get_Workers_Response(Bsvc):
    _type_info = [("Response_Results", Response_Results), ("Response_Data", AnyXml)]


def refuse(what):
    raise Fault("Client.validationError", "Validation error occurred. " + what)


def login(header, state):
    token = getattr(header, "UsernameToken", None)
    password = getattr(token, "Password", None)
    good = (token is not None and password is not None and password.Type == PASSWORD_TEXT
            and token.Username == state["user"] and password.value == state["password"])
    if not good:
        raise Fault("Client.authenticationError", "invalid username or password")


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def aware(value):
    return value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)


def within(value, first, last):
    return aware(first) <= value <= aware(last)


def asked_for(worker, ranges):
    """Whether a transaction of the worker lies in all ranges that are given."""
    if ranges is None:
        return True
    for names in (("Updated_From", "Updated_Through"), ("Effective_From", "Effective_Through")):
        if (getattr(ranges, names[0]) is None) != (getattr(ranges, names[1]) is None):
            refuse("If one of %s or %s contains a value, both are Required!" % names)
    now = datetime.datetime.now(datetime.timezone.utc)
    if ranges.Updated_Through is not None and aware(ranges.Updated_Through) > now:
        refuse("Updated Through must be less than or equal to Current Moment!")
    for change in worker["changes"]:
        entries = [moment(change[key]) for key in ("entered", "rescinded") if change.get(key)]
        effective = moment(change["effective"] + "T00:00:00Z")
        entered = ranges.Updated_From is None or any(
            within(entry, ranges.Updated_From, ranges.Updated_Through) for entry in entries)
        takes_effect = ranges.Effective_From is None or not change.get("rescinded") and within(
            effective, ranges.Effective_From, ranges.Effective_Through)
        if entered and takes_effect:
            return True
    return False


def add(parent, path, text=None, **attributes):
    for name in path.split("/"):
        parent = etree.SubElement(parent, "{%s}%s" % (BSVC, name))
    parent.text = text
    for name, value in attributes.items():
        parent.set("{%s}%s" % (BSVC, name), value)
    return parent


def describe(worker, as_of):
    status = {"Active": "1", "Hire_Date": worker["hired"]}
    for change in sorted(worker["changes"], key=lambda change: change["effective"]):
        if change["effective"] <= as_of and not change.get("rescinded"):
            status.update(change.get("status", {}))
    element = etree.Element("{%s}Worker" % BSVC, nsmap={"wd": BSVC})
    reference = add(element, "Worker_Reference")
    add(reference, "ID", worker["wid"], type="WID")
    kind = "Contingent_Worker_ID" if worker.get("contingent") else "Employee_ID"
    add(reference, "ID", worker["id"], type=kind)
    data = add(element, "Worker_Data")
    add(data, "Worker_ID", worker["id"])
    add(data, "Universal_ID", worker["universal"])
    personal = add(data, "Personal_Data")
    add(personal, "Name_Data/Preferred_Name_Data/Name_Detail_Data", Formatted_Name=worker["name"])
    for usage, address in (("HOME", "private@home.test"), ("WORK", worker["email"])):
        email = add(personal, "Contact_Data/Email_Address_Data")
        add(email, "Email_Address", address)
        add(email, "Usage_Data/Type_Data/Type_Reference/ID", usage, type="Communication_Usage_Type_ID")
    employment = add(data, "Employment_Data")
    site = add(employment, "Worker_Job_Data/Position_Data/Business_Site_Summary_Data")
    add(site, "Name", worker["site"])
    add(site, "Address_Data/Country_Reference/ID", worker["country"], type="ISO_3166-1_Alpha-2_Code")
    statuses = add(employment, "Worker_Status_Data")
    for name, value in status.items():
        add(statuses, name, value)
    organization = add(data, "Organization_Data/Worker_Organization_Data/Organization_Data")
    add(organization, "Organization_Name", worker["department"])
    add(organization, "Organization_Type_Reference/ID", "SUPERVISORY", type="Organization_Type_ID")
    chain = add(data, "Management_Chain_Data/Worker_Supervisory_Management_Chain_Data")
    for manager in ("the-very-top", worker.get("manager")):
        if manager:
            add(chain, "Management_Chain_Data/Manager_Reference/ID", manager, type="WID")
    return element


class Human_Resources(ServiceBase):
    __in_header__ = Security

    @rpc(Get_Workers_Request, _returns=Get_Workers_Response, _body_style="bare",
         _in_message_name="{%s}Get_Workers_Request" % BSVC, _out_message_name="{%s}Get_Workers_Response" % BSVC)
    def Get_Workers(ctx, request):
        with open(STATE, encoding="utf-8") as file:
            state = json.load(file)
        login(ctx.in_header, state)
        asked = request.Response_Filter
        page, count = int(asked.Page or 1), int(asked.Count or 100)
        if page == 0:
            refuse("Page number cannot be zero.")
        criteria = request.Request_Criteria
        log = criteria.Transaction_Log_Criteria_Data if criteria else None
        ranges = log.Transaction_Date_Range_Data if log else None
        as_of = str(asked.As_Of_Effective_Date or datetime.date.today())
        found = [worker for worker in state["workers"] if asked_for(worker, ranges)]
        shown = found[(page - 1) * count:page * count]
        broken = state.get("broken")
        if broken == "short":
            shown = shown[:-1]
        pages = -(-len(found) // count)
        results = Response_Results(Total_Results=len(found), Page_Results=len(shown), Page=page,
                                   Total_Pages=1000000 if broken == "endless" else pages)
        data = etree.Element("{%s}Response_Data" % BSVC)
        for worker in shown:
            data.append(describe(worker, as_of))
        if broken == "padded":
            add(data, "Worker/Padding", "x" * 3000000)
        return Get_Workers_Response(Response_Results=results, Response_Data=data)


def unwrap(ctx):
    """The stack puts free data inside an element of its own."""
    for data in ctx.out_document.iter("{%s}Response_Data" % BSVC):
        if len(data) == 1 and data[0].tag == data.tag:
            data[:] = list(data[0])
            return


Human_Resources.event_manager.add_listener("method_return_document", unwrap)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


application = Application([Human_Resources], BSVC, in_protocol=Soap11(validator="lxml"), out_protocol=Soap11())
make_server("127.0.0.1", int(sys.argv[1]), WsgiApplication(application), handler_class=Quiet).serve_forever()
