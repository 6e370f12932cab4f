"""A real mail server (aiosmtpd): says its port, then each mail that it took as a line of JSON.

mail_server.py CERTS PORT MODE [CODE...]
MODE: starttls (with a login), tls, or plain. Each CODE answers one mail ("451", "554", "drop" after
the text was taken); after them every mail is taken.
"""
import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

certs, port, mode, *answers = sys.argv[1:]


def say(what):
    sys.stdout.write(what + "\n")
    sys.stdout.flush()


class Handler:
    async def handle_DATA(self, server, session, envelope):
        answer = answers.pop(0) if answers else "250"
        text = envelope.content.decode("utf-8", "replace")
        # As its reader sees it: what is encoded is not hidden from the test.
        read = email.message_from_bytes(envelope.content, policy=email.policy.default)
        heads = {name.lower(): str(value) for name, value in read.items()}
        body = read.get_content()
        tls = session.ssl is not None
        mail = {"to": envelope.rcpt_tos, "from": envelope.mail_from, "text": text, "tls": tls,
                "heads": heads, "body": body}
        say(json.dumps({**mail, "answer": answer, "login": bool(session.authenticated)}))
        if answer == "drop":
            server.transport.abort()
            await asyncio.sleep(1)
        return f"{answer} answered as told, for somebody@example.se"


def login(server, session, envelope, mechanism, data):
    good = data.login == b"klagomal" and data.password == b"ett hemligt losen"
    return AuthResult(success=good)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{certs}/region.crt", f"{certs}/region.key")
settings = {
    "starttls": dict(tls_context=context, require_starttls=True, authenticator=login,
                     auth_required=True),
    "tls": {},
    "plain": {},
}[mode]


async def serve():
    loop = asyncio.get_running_loop()
    wrapped = context if mode == "tls" else None
    server = await loop.create_server(
        lambda: SMTP(Handler(), loop=loop, **settings), "127.0.0.1", int(port), ssl=wrapped,
        reuse_address=True)
    say(f"port {server.sockets[0].getsockname()[1]}")
    async with server:
        await server.serve_forever()


asyncio.run(serve())
