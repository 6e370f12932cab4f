// Somebody without a card logs in at the login service, in a real browser without scripts.
//
//   node staff_login.mjs MODULES PORT PICTURES
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";

const [modules, port, pictures] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { chromium } = require("playwright-core");
mkdirSync(pictures, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const context = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: false });
context.setDefaultTimeout(15000);
const page = await context.newPage();
await page.goto(`https://localhost:${port}/sok`);
await page.screenshot({ path: `${pictures}/1-sign-in.png`, fullPage: true });
await page.getByRole("link", { name: /Logga in/ }).click();
await page.getByLabel("Namn").fill("ANNA");
await page.getByRole("button", { name: "Logga in" }).click();
// The way back leads on by itself: a strict cookie does not come along from another site.
await page.waitForURL(`https://localhost:${port}/sok`);
await page.getByText("Anna Påhittad").waitFor();
await page.screenshot({ path: `${pictures}/2-inside.png`, fullPage: true });
await page.getByRole("button", { name: "Logga ut" }).click();
await page.waitForURL(/\/in$/);
await page.screenshot({ path: `${pictures}/3-out.png`, fullPage: true });
await page.goto(`https://localhost:${port}/sok`);
if (await page.getByText("Anna Påhittad").count()) throw new Error("still inside");
await browser.close();
process.exit(0);
