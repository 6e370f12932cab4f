// A person at the staff page, in a real browser with a real client certificate.
//
//   node staff_page.mjs MODULES CERTS PORT PICTURES MODE CASE
//
// MODE is "keyboard" (scripts on, keys alone, axe on every page) or "mouse" (scripts off). What the
// complainant does in between, the test does: "wait NAME" on standard output waits for a line in.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { mkdirSync, writeFileSync } from "node:fs";

const [modules, certs, port, pictures, mode, number] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { chromium } = require("playwright-core");
const axe = require("axe-core");

const keyboard = mode === "keyboard";
const origin = `https://localhost:${port}`;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const said = (what) => process.stdout.write(`${what}\n`);
const until = async (what) => { said(`wait ${what}`); await lines.next(); };
mkdirSync(pictures, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

async function person(who) {
  const card = { origin, certPath: `${certs}/person-${who}.crt`, keyPath: `${certs}/person-${who}.key` };
  const context = await browser.newContext({
    clientCertificates: [card], ignoreHTTPSErrors: true, javaScriptEnabled: keyboard,
    viewport: { width: 1200, height: 900 }, locale: "sv-SE",
  });
  context.setDefaultTimeout(15000);
  const page = await context.newPage();
  const errors = [];
  page.on("console", (it) => { if (it.type() === "error") errors.push(it.text()); });
  page.counted = 0;
  page.errors = errors;
  await page.goto(`${origin}/`);
  await look(page, `${who}-in`);
  await press(page, page.getByRole("button", { name: "Logga in" }));
  return page;
}

let pages = 0;
// Pictures for a person to look at, wide and as on a phone; and what axe says.
async function look(page, name) {
  pages += 1;
  const file = `${pictures}/${String(pages).padStart(2, "0")}-${name}`;
  await page.screenshot({ path: `${file}.png`, fullPage: true });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: `${file}-phone.png`, fullPage: true });
  if (keyboard) {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    if (wide > 390) throw new Error(`${name} is ${wide} px wide on a phone`);
  }
  await page.setViewportSize({ width: 1200, height: 900 });
  if (!keyboard) return;
  // Outside the page's own policy, which lets no script in.
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: [
    "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  if (found.passes.length < 10) throw new Error(`axe has looked at nothing on ${name}`);
  for (const it of found.violations) {
    const where = it.nodes.map((node) => node.html).join("\n    ");
    said(`violation ${name}: ${it.id}: ${it.help}\n    ${where}`.replaceAll("\n", "\\n"));
  }
}

// Reaches an element as its user would; with the keyboard the way there is walked.
async function reach(page, target) {
  await target.waitFor({ state: "attached" });
  if (!keyboard) return;
  for (let steps = 0; steps < 300; steps += 1) {
    const there = await target.evaluate((it) => it === document.activeElement);
    if (there) {
      const outline = await target.evaluate((it) => getComputedStyle(it).outlineStyle);
      if (outline === "none") throw new Error(`no visible focus: ${target}`);
      return;
    }
    // Of a group of radio buttons the keyboard comes to one, and goes on with the arrows.
    const among = await target.evaluate((it) => it.type === "radio"
      && document.activeElement.type === "radio" && it.name === document.activeElement.name);
    await page.keyboard.press(among ? "ArrowDown" : "Tab");
  }
  throw new Error(`not reached by the keyboard: ${target}`);
}

async function press(page, target) {
  page.counted += 1;
  const response = await go(page, target);
  if (response.status() !== 200) throw new Error(`${response.status()} after ${target}`);
}

// Where Enter or a click leads.
async function go(page, target) {
  await reach(page, target);
  const went = page.waitForNavigation({ waitUntil: "load" });
  if (keyboard) await page.keyboard.press("Enter"); else await target.click();
  return went;
}

async function tick(page, target) {
  page.counted += 1;
  await reach(page, target);
  if (keyboard) await page.keyboard.press("Space"); else await target.click();
  if (!(await target.isChecked())) throw new Error(`not ticked: ${target}`);
}

async function write(page, label, text) {
  const field = page.getByLabel(label, { exact: false }).first();
  page.counted += 1;
  await reach(page, field);
  if (keyboard) await page.keyboard.insertText(text); else { await field.click(); await field.fill(text); }
}

// What is folded away.
async function open(page, summary) {
  const target = page.locator("summary", { hasText: summary });
  await reach(page, target);
  if (keyboard) await page.keyboard.press("Enter"); else await target.click();
}

async function choose(page, label, value) {
  const field = page.getByLabel(label).first();
  page.counted += 1;
  await reach(page, field);
  await field.selectOption(value);
}

async function has(page, ...words) {
  const text = await page.locator("body").innerText();
  for (const it of words) {
    if (!text.includes(it)) throw new Error(`"${it}" is not on ${page.url()}:\n${text}`);
  }
}

const link = (page, name) => page.getByRole("link", { name, exact: true });
const button = (page, name) => page.getByRole("button", { name, exact: true });

async function send(page, name) {
  await press(page, button(page, "Förhandsgranska"));
  await look(page, `${name}-preview`);
  await press(page, button(page, "Skicka"));
}

// ---- Anna finds the case and hands it to Bo.
const anna = await person("anna");
await look(anna, "inbox");
await has(anna, number);
await press(anna, link(anna, number));
await look(anna, "case");
await choose(anna, "Fördela till", "SE0000000000-BO");
await press(anna, button(anna, "Fördela"));
await has(anna, "Bo Påhittad");

// ---- Bo: delsvar, motfråga, a note.
const bo = await person("bo");
await look(bo, "units");
await press(bo, link(bo, "Testvårdcentralen Exempelstad"));
await press(bo, link(bo, number));
await press(bo, link(bo, "Skriv delsvar"));
await look(bo, "partial-reply");
await tick(bo, bo.locator("input[name=standard]").nth(1));
await write(bo, "Egen text", "PÅHITTAT DELSVAR i webbläsaren.");
await send(bo, "partial-reply");
await look(bo, "case-partial-reply");
await press(bo, link(bo, "Bekräfta"));
await look(bo, "acknowledge");
await press(bo, link(bo, "Avbryt"));
await press(bo, link(bo, "Avsluta utan skriftligt svar"));
await look(bo, "close");
await press(bo, link(bo, "Avbryt"));
await press(bo, link(bo, "Ställ en fråga"));
await look(bo, "question");
await press422(bo, button(bo, "Förhandsgranska"));
await look(bo, "question-fault");
await write(bo, "Fråga", "PÅHITTAD FRÅGA: vilken dag?");
await tick(bo, bo.getByLabel("Anmälaren får bifoga filer"));
await send(bo, "question");
await write(bo, "Anteckning", "PÅHITTAD ANTECKNING.");
await press(bo, button(bo, "Spara anteckningen"));
await has(bo, "PÅHITTAD ANTECKNING.", "väntar på komplettering");
await until("supplement");
await bo.goto(`${origin}/arende/${number}`);
await has(bo, "PÅHITTAT TILLÄGG");
await look(bo, "case-supplement");

// ---- Bo answers, with a file; first a file that lies.
writeFileSync(`${pictures}/brev.pdf`, "%PDF-1.7\nPÅHITTAT BREV\n");
writeFileSync(`${pictures}/falsk.pdf`, "<html>");
await press(bo, link(bo, "Svara"));
await look(bo, "answer");
await write(bo, "Det här har hänt", "PÅHITTAT SVAR med <b>tecken</b> & åäö.");
await write(bo, "Det här gör vi", "PÅHITTAD ÅTGÄRD.");
await tick(bo, bo.locator("input[name=problem]").first());
const files = bo.getByLabel("Välj filer");
await reach(bo, files);
await files.setInputFiles([`${pictures}/brev.pdf`, `${pictures}/falsk.pdf`]);
await press422(bo, button(bo, "Förhandsgranska"));
await has(bo, "falsk.pdf är ingen PDF");
await look(bo, "answer-fault");
await send(bo, "answer");
await has(bo, "avslutat", "brev.pdf", "PÅHITTAT SVAR med <b>tecken</b> & åäö.");
await look(bo, "case-answered");

async function press422(page, target) {
  const response = await go(page, target);
  if (response.status() !== 422) throw new Error(`${response.status()} where 422 was due`);
}

// ---- The other pages, each reached and looked at.
await press(anna, link(anna, "Sök"));
await look(anna, "search");
await write(anna, "Sök", "19900101-2385");
await press(anna, button(anna, "Sök"));
await look(anna, "search-found");
await press(anna, link(anna, "Inkorg"));
await press(anna, link(anna, "Avslutade ärenden"));
await has(anna, number);
await look(anna, "inbox-closed");
await press(anna, link(anna, "Öppna ärenden"));
await open(anna, "Filtrera");
await choose(anna, "Handläggare", "ingen");
await press(anna, button(anna, "Visa"));
await look(anna, "inbox-filtered");
await press(anna, link(anna, "Registrera ett ärende"));
await look(anna, "register");
await press422(anna, button(anna, "Registrera"));
await look(anna, "register-fault");
await anna.goto(`${origin}/arende/AAA-AAA-A`);
await look(anna, "not-there");
const david = await person("p2");
await press(david, link(david, "Åtkomstlogg").last());
await look(david, "unit-log");
await open(david, "Utdrag åt en patient");
await write(david, "Personnummer eller annat id", "199001012385");
await press(david, button(david, "Visa utdrag"));
await look(david, "extract");
await david.goBack();
await press(david, link(david, number).first());
await has(david, "Bo Påhittad");
await look(david, "case-log");
await david.goto(`${origin}/arende/${number}`);
await has(david, "Du har inte behörighet");
await look(david, "denied");

// ---- The patientnämnd corrects where it happened; the local administrator hands on without reading.
await until("committee");
const committee = (await lines.next()).value;
const filip = await person("p4");
await look(filip, "committee-inbox");
await press(filip, link(filip, committee));
await press(filip, button(filip, "Ta ärendet"));
await press(filip, link(filip, "Rätta platsen"));
await look(filip, "correct-place");
await write(filip, "Enhetens HSA-id", "SE0000000000-VC1");
await press(filip, button(filip, "Förhandsgranska"));
await look(filip, "correct-place-preview");
await press(filip, button(filip, "Spara"));
await has(filip, "Plats rättad");
await until("standard");
const standard = (await lines.next()).value;
const eva = await person("p3");
await press(eva, link(eva, standard));
await has(eva, "Fördela ärende");
await look(eva, "hand-on");

// ---- The standard case: how much it takes to answer, beside the text.
await anna.goto(`${origin}/`);
anna.counted = 0;
await press(anna, link(anna, standard));
await press(anna, button(anna, "Ta ärendet"));
await press(anna, link(anna, "Svara"));
await write(anna, "Det här har hänt", "PÅHITTAT STANDARDSVAR.");
await tick(anna, anna.locator("input[name=problem]").first());
await press(anna, button(anna, "Förhandsgranska"));
await press(anna, button(anna, "Skicka"));
said(`steps ${anna.counted}`);

await until("delivered");
await bo.goto(`${origin}/arende/${number}`);
await look(bo, "case-delivered");
await has(bo, "i inkorgen ");
await press(bo, button(bo, "Logga ut"));
await look(bo, "out");
// A form that was open when its session ended.
await press(anna, link(anna, "Inkorg"));
await press(anna, link(anna, "Registrera ett ärende"));
await anna.context().clearCookies();
const ended = await go(anna, button(anna, "Registrera"));
if (ended.status() !== 403) throw new Error(`${ended.status()} without a session`);
await has(anna, "Du har blivit utloggad");
await look(anna, "ended");
for (const page of [anna, bo, david, eva, filip]) {
  // Statuses of pages that are meant to be refused are told as errors by the browser.
  for (const it of page.errors.filter((it) => !/status of (403|404|409|422)/.test(it))) said(`error ${it}`);
}
said(`pages ${pages}`);
await browser.close();
process.exit(0);
