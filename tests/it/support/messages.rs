//! Messages of the two complaint contracts, made up to order.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::tree::escape;

const CORE: &str = "urn:klagomal:supportprocess:patientsafety:complaint:1";

/// A person who does not exist (the Tax Agency's list of test numbers).
pub const PERSON: &str = "199001012385";

/// A unit that cases are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    pub hsa_id: &'static str,
    pub county: &'static str,
    pub area: &'static str,
}

/// Built-in store.
pub const VC1: Unit = Unit { hsa_id: "SE0000000000-VC1", county: "99", area: "3" };
/// Own system.
pub const VC2: Unit = Unit { hsa_id: "SE0000000000-VC2", county: "99", area: "1" };

/// A file in a message.
#[derive(Debug, Clone)]
pub struct File {
    pub name: String,
    pub content: Vec<u8>,
}

impl File {
    /// A PDF by its first bytes; the rest from `seed`.
    pub fn pdf(name: &str, bytes: usize, seed: u64) -> Self {
        let mut content = b"%PDF-1.4\n".to_vec();
        let mut random = Random::new(seed);
        while content.len() < bytes {
            content.extend_from_slice(&random.next().to_le_bytes());
        }
        content.truncate(bytes.max(9));
        Self { name: name.to_owned(), content }
    }

    fn element(&self, at: usize) -> String {
        format!(
            "<c:attachment><c:id>{at}</c:id><c:fileName>{}</c:fileName>\
             <c:mediaType>application/pdf</c:mediaType><c:value>{}</c:value></c:attachment>",
            escape(&self.name),
            STANDARD.encode(&self.content)
        )
    }
}

fn files(files: &[File]) -> String {
    files.iter().enumerate().map(|(at, file)| file.element(at + 1)).collect()
}

fn envelope(contract: &str, to: &str, message: &str, case: &str, content: &str) -> String {
    let case = format!(
        "<r:caseId><c:root>1.2.752.129.2.1.2.1</c:root><c:extension>{case}</c:extension></r:caseId>"
    );
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Header>\
         <l:LogicalAddress xmlns:l=\"urn:riv:itintegration:registry:1\">{to}</l:LogicalAddress>\
         </e:Header><e:Body><r:{contract} \
         xmlns:r=\"urn:klagomal:supportprocess:patientsafety:complaint:{contract}Responder:1\" \
         xmlns:c=\"{CORE}\"><r:messageId><c:root>{message}</c:root></r:messageId>\
         <r:sentTime>20260302101502</r:sentTime>{case}{content}</r:{contract}></e:Body></e:Envelope>"
    )
}

/// A new case.
pub fn complaint(unit: Unit, message: &str, case: &str, text: &str, with: &[File]) -> String {
    let content = format!(
        "<r:complaint><c:submittedTime>20260302101500</c:submittedTime><c:recipient>\
         <c:kind>CARE_PROVIDER</c:kind><c:unit><c:orgUnitHSAId>{hsa_id}</c:orgUnitHSAId></c:unit>\
         <c:county>{county}</c:county></c:recipient><c:eventDate>20260216</c:eventDate>\
         <c:description>PÅHITTAT ÄRENDE. {text}</c:description><c:complainant><c:personId>\
         <c:root>1.2.752.129.2.1.3.1</c:root><c:extension>{PERSON}</c:extension></c:personId>\
         <c:name>Testa Testsson</c:name><c:relation>PATIENT</c:relation></c:complainant>\
         <c:replyWish><c:wanted>true</c:wanted><c:channel>INBOX</c:channel></c:replyWish>{files}\
         </r:complaint>",
        hsa_id = unit.hsa_id,
        county = unit.county,
        text = escape(text),
        files = files(with),
    );
    envelope("ProcessComplaint", unit.hsa_id, message, case, &content)
}

/// More from the complainant.
pub fn supplement(unit: Unit, message: &str, case: &str, text: &str, with: &[File]) -> String {
    let content = format!(
        "<r:supplement><c:text>PÅHITTAT ÄRENDE. {}</c:text>{}</r:supplement>",
        escape(text),
        files(with)
    );
    envelope("ProcessComplaint", unit.hsa_id, message, case, &content)
}

fn handling(message: &str, case: &str, content: &str) -> String {
    let handler = "<r:handler><c:hsaId>SE0000000000-H1</c:hsaId><c:name>Testa Handläggare</c:name>\
                   </r:handler>";
    let content = format!("{handler}{content}");
    envelope("ProcessComplaintHandling", "SE0000000000-1177", message, case, &content)
}

/// Delsvar.
pub fn partial_reply(message: &str, case: &str, text: &str, with: &[File]) -> String {
    let content = format!(
        "<r:partialReply><c:text>PÅHITTAT ÄRENDE. {}</c:text>{}</r:partialReply>",
        escape(text),
        files(with)
    );
    handling(message, case, &content)
}

/// Slutsvar.
pub fn reply(unit: Unit, message: &str, case: &str, text: &str, with: &[File]) -> String {
    let code = |element: &str, list: &str, code: &str| {
        format!(
            "<c:{element}><c:code>{code}</c:code><c:codeSystem>urn:klagomal:{list}</c:codeSystem>\
             <c:codeSystemVersion>1.0</c:codeSystemVersion></c:{element}>"
        )
    };
    let content = format!(
        "<r:reply><c:explanation>PÅHITTAT ÄRENDE. {}</c:explanation>{}<c:classification>{}{}\
         </c:classification></r:reply>",
        escape(text),
        files(with),
        code("mainProblem", "kv-huvud-och-delproblem", "3"),
        code("operationalArea", "kv-verksamhetsomrade", unit.area),
    );
    handling(message, case, &content)
}

/// A case id as 1177 makes them.
pub fn case_id(of: &str) -> String {
    format!("SE0000000000-1177:{of}")
}

/// Numbers that look like chance and can be had again: xorshift*.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `most`.
    pub fn below(&mut self, most: u64) -> u64 {
        self.next() % most.max(1)
    }

    pub fn uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes({
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&self.next().to_le_bytes());
            bytes[8..].copy_from_slice(&self.next().to_le_bytes());
            bytes
        })
        .into_uuid()
        .to_string()
    }
}
