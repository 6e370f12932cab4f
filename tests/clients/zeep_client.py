"""Calls the gateway with nothing but its WSDL: a new case as 1177, or a reply as a region.

    python zeep_client.py complaint|reply BASE_URL CERTS_DIR CASE_EXTENSION MESSAGE_ID

Prints resultCode and registrationNumber, or FAULT and the faultstring.
"""
import sys

import requests
import zeep
from zeep.transports import Transport

PATH = "/vp/supportprocess/patientsafety/complaint/{0}/1/rivtabp21?wsdl"


def client(contract, base, certs, who):
    session = requests.Session()
    session.trust_env = False
    session.cert = (f"{certs}/{who}.crt", f"{certs}/{who}.key")
    session.verify = f"{certs}/ca.crt"
    return zeep.Client(base + PATH.format(contract), transport=Transport(session=session, timeout=30))


def code(of, code_list):
    return {"code": of, "codeSystem": f"urn:klagomal:{code_list}", "codeSystemVersion": "1.0"}


def complaint(base, certs, case, message):
    service = client("ProcessComplaint", base, certs, "1177").service
    return service.ProcessComplaint(
        messageId={"root": message},
        sentTime="20260302101502",
        caseId={"root": "1.2.752.129.2.1.2.1", "extension": case},
        complaint={
            "submittedTime": "20260302101500",
            "recipient": {
                "kind": "CARE_PROVIDER",
                "unit": {"orgUnitHSAId": "SE0000000000-VC2"},
                "county": "99",
            },
            "eventDate": "20260216",
            "description": "PÅHITTAT ÄRENDE. Skickat med Python.",
            "complainant": {
                "personId": {"root": "1.2.752.129.2.1.3.1", "extension": "199001012385"},
                "name": "Testa Testsson",
                "relation": "PATIENT",
            },
            "replyWish": {"wanted": True, "channel": "INBOX"},
            "attachment": [
                {
                    "id": "1",
                    "fileName": "fil.pdf",
                    "mediaType": "application/pdf",
                    "value": b"%PDF-1.4\n" + bytes(range(256)),
                }
            ],
        },
        _soapheaders={"LogicalAddress": "SE0000000000-VC2"},
    )


def reply(base, certs, case, message):
    service = client("ProcessComplaintHandling", base, certs, "region").service
    return service.ProcessComplaintHandling(
        messageId={"root": message},
        sentTime="20260402101500",
        caseId={"root": "1.2.752.129.2.1.2.1", "extension": case},
        handler={"hsaId": "SE0000000000-H1", "name": "Testa Handläggare"},
        reply={
            "explanation": "PÅHITTAT ÄRENDE. Svar med Python.",
            "classification": {
                "mainProblem": [code("3", "kv-huvud-och-delproblem")],
                "operationalArea": code("1", "kv-verksamhetsomrade"),
            },
        },
        _soapheaders={"LogicalAddress": "SE0000000000-1177"},
    )


def main():
    what, base, certs, case, message = sys.argv[1:]
    try:
        answer = {"complaint": complaint, "reply": reply}[what](base, certs, case, message)
    except zeep.exceptions.Fault as fault:
        print("FAULT", fault.message)
        return
    print(answer.result.resultCode, answer.registrationNumber, answer.result.message or "")


main()
