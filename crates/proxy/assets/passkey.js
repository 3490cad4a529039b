// Passkeys: the browser's part of making one and of showing one.
"use strict";

function bytes(text) {
  const plain = text.replace(/-/g, "+").replace(/_/g, "/");
  return Uint8Array.from(atob(plain), (letter) => letter.charCodeAt(0));
}

function text(buffer) {
  let plain = "";
  for (const byte of new Uint8Array(buffer)) plain += String.fromCharCode(byte);
  return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function optionsFrom(json, isNew) {
  const options = json.publicKey || json;
  const lists = isNew ? "excludeCredentials" : "allowCredentials";
  const out = { ...options, challenge: bytes(options.challenge) };
  if (out[lists]) out[lists] = out[lists].map((one) => ({ ...one, id: bytes(one.id) }));
  if (isNew) out.user = { ...options.user, id: bytes(options.user.id) };
  return out;
}

function asJson(credential) {
  if (typeof credential.toJSON === "function") return credential.toJSON();
  const { response } = credential;
  const out = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) out[name] = text(response[name]);
  }
  if (response.getTransports) out.transports = response.getTransports();
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment || undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: out,
  };
}

function words(error, isNew) {
  if (error.name === "InvalidStateError" && isNew) return "This device or key is enrolled already. Use another one.";
  if (error.name === "NotAllowedError") return "It was cancelled or took too long. Try again when you are ready.";
  if (error.name === "SecurityError") return "The browser does not allow passkeys at this address. Open this page under the cluster's public address, with a certificate that the browser trusts.";
  return "The browser could not use a passkey. Try again, or use another way.";
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const isNew = form.dataset.passkey === "create";
  const button = form.querySelector("button[type=submit]");
  const mistake = form.querySelector("[data-mistake]");
  const say = (message) => {
    mistake.textContent = message;
    mistake.hidden = false;
    button.removeAttribute("aria-busy");
    button.disabled = false;
  };
  if (!window.PublicKeyCredential) {
    button.disabled = !form.elements.code;
    say("This browser knows no passkeys. Use another way, or another browser.");
    continue;
  }
  form.addEventListener("submit", async (event) => {
    const field = form.elements.credential;
    // A typed code is enough where there is a field for it.
    if (field.value || form.elements.code?.value.trim()) return;
    event.preventDefault();
    mistake.hidden = true;
    button.setAttribute("aria-busy", "true");
    try {
      const publicKey = optionsFrom(JSON.parse(form.dataset.options), isNew);
      const credential = isNew
        ? await navigator.credentials.create({ publicKey })
        : await navigator.credentials.get({ publicKey });
      field.value = JSON.stringify(asJson(credential));
      form.submit();
    } catch (error) {
      say(words(error, isNew));
    }
  });
}
