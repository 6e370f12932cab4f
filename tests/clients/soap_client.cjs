// Calls the gateway with nothing but its WSDL: a new case as 1177, or a reply as a region.
//
//     node soap_client.cjs complaint|reply BASE_URL CERTS_DIR CASE_EXTENSION MESSAGE_ID
//
// Prints resultCode and registrationNumber, or FAULT and the faultstring.
"use strict";

const fs = require("node:fs");
const https = require("node:https");
const soap = require("soap");

const [what, base, certs, caseId, message] = process.argv.slice(2);
const contract = what === "complaint" ? "ProcessComplaint" : "ProcessComplaintHandling";
const who = what === "complaint" ? "1177" : "region";
const address = what === "complaint" ? "SE0000000000-VC2" : "SE0000000000-1177";
const read = (name) => fs.readFileSync(`${certs}/${name}`);

const tls = { cert: read(`${who}.crt`), key: read(`${who}.key`), ca: read("ca.crt") };
const security = new soap.ClientSSLSecurity(tls.key, tls.cert, tls.ca, {});
const code = (of, list) => ({
  code: of,
  codeSystem: `urn:klagomal:${list}`,
  codeSystemVersion: "1.0",
});

const head = {
  messageId: { root: message },
  sentTime: "20260302101502",
  caseId: { root: "1.2.752.129.2.1.2.1", extension: caseId },
};

const complaint = {
  ...head,
  complaint: {
    submittedTime: "20260302101500",
    recipient: {
      kind: "CARE_PROVIDER",
      unit: { orgUnitHSAId: "SE0000000000-VC2" },
      county: "99",
    },
    eventDate: "20260216",
    description: "PÅHITTAT ÄRENDE. Skickat med Node.",
    complainant: {
      personId: { root: "1.2.752.129.2.1.3.1", extension: "199001012385" },
      name: "Testa Testsson",
      relation: "PATIENT",
    },
    replyWish: { wanted: true, channel: "INBOX" },
  },
};

const reply = {
  ...head,
  handler: { hsaId: "SE0000000000-H1", name: "Testa Handläggare" },
  reply: {
    explanation: "PÅHITTAT ÄRENDE. Svar med Node.",
    classification: {
      mainProblem: [code("3", "kv-huvud-och-delproblem")],
      operationalArea: code("1", "kv-verksamhetsomrade"),
    },
  },
};

async function main() {
  const url = `${base}/vp/supportprocess/patientsafety/complaint/${contract}/1/rivtabp21?wsdl`;
  const agent = new https.Agent(tls);
  const client = await soap.createClientAsync(url, { wsdl_options: { httpsAgent: agent } });
  client.setSecurity(security);
  client.addSoapHeader({ LogicalAddress: address }, "", "itr", "urn:riv:itintegration:registry:1");
  try {
    const [answer] = await client[`${contract}Async`](what === "complaint" ? complaint : reply);
    const { result, registrationNumber } = answer;
    console.log(result.resultCode, registrationNumber ?? "", result.message ?? "");
  } catch (error) {
    const fault = error.root?.Envelope?.Body?.Fault;
    if (!fault) throw error;
    console.log("FAULT", fault.faultstring);
  }
}

main();
