'use strict';

// The token stays in this page's memory: it is gone when the page is.
let token = '';

const find = (id) => document.getElementById(id);

async function ask(path, body) {
  const headers = {Accept: 'application/json'};
  if (token) headers.Authorization = 'Bearer ' + token;
  if (body) headers['Content-Type'] = 'application/json';
  const response = await fetch(path, {
    method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body), credentials: 'omit', redirect: 'error',
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(answer.message || 'answer ' + response.status), {status: response.status});
  return answer;
}

function say(text, failed) {
  const message = find('message');
  message.textContent = text;
  message.className = failed ? 'failed' : '';
  message.hidden = false;
}

// trying runs what a form or a button is for, and shows what goes wrong.
const trying = (action) => async (event) => {
  event?.preventDefault();
  try {
    await action(event);
  } catch (e) {
    say(e.message, true);
  }
};

// item shows the members of an object that are not empty, and buttons.
function item(members, ...buttons) {
  const div = document.createElement('div');
  div.className = 'item';
  const list = div.appendChild(document.createElement('dl'));
  for (const [name, value] of Object.entries(members)) {
    if (value === '' || value === null || value === undefined) continue;
    list.appendChild(document.createElement('dt')).textContent = name.replaceAll('_', ' ');
    list.appendChild(document.createElement('dd')).textContent = typeof value === 'object' ? JSON.stringify(value) : value;
  }
  if (buttons.length) div.appendChild(document.createElement('p')).append(...buttons);
  return div;
}

function fill(id, items, none) {
  find(id).replaceChildren(...items);
  if (!items.length) find(id).textContent = none;
}

// choose brings a value into the form for entries.
function choose(by, value, issuer) {
  const button = document.createElement('button');
  button.textContent = by + ' …';
  button.addEventListener('click', () => {
    const form = find('entry');
    form.by.value = by;
    form.value.value = value;
    if (issuer) form.issuer.value = issuer;
    form.scrollIntoView();
  });
  return button;
}

const choices = (of, issuer) => Object.entries(of).filter(([, value]) => value).map(([by, value]) => choose(by, value, issuer));

async function searching() {
  const form = find('find');
  const issuer = find('entry').issuer.value;
  const answer = await ask('tokens?' + new URLSearchParams({[form.by.value]: form.value.value.trim(), issuer}));
  find('total').textContent = answer.total + ' in use';
  fill('tokens', answer.tokens.map((t) => item(t, ...choices({
    token: t.token, session: t.session, subject: t.subject, client: t.client, key: t.key, certificate: t.certificate,
  }, issuer))), 'none');
}

async function acting(event) {
  const form = find('entry');
  const named = {issuer: form.issuer.value, by: form.by.value, value: form.value.value.trim()};
  switch (event.submitter?.value) {
    case 'revoke': {
      named.until_now = form.now.checked; // by the server's clock, not by this one
      const answer = await ask('revoke', named);
      const hit = answer.tokens_in_use === null ? 'how many tokens that hits is not known'
        : (answer.at_least ? 'at least ' : '') + answer.tokens_in_use + ' tokens in use are hit';
      say('Revoked until ' + answer.until + ': ' + hit + '; later logins are ' + (answer.later_logins_refused ? 'refused too' : 'welcome'));
      await looking(named);
      break;
    }
    case 'lift': {
      const answer = await ask('lift', named);
      say(answer.lifted.length ? 'Lifted: later requests are no longer refused by it' : 'Nothing was in force');
      fill('entries', [], 'nothing is in force');
      break;
    }
    default:
      await looking(named);
  }
}

async function looking(named) {
  if (!rights.includes('look')) return;
  const {issuer, by, value} = named;
  const answer = await ask('entry?' + new URLSearchParams({issuer, by, value}));
  fill('entries', answer.entries.map((e) => item(e)), 'nothing is in force');
}

async function reading() {
  const alerts = await ask('alerts');
  fill('alerts', alerts.alerts.map((a) => item(a, ...choices({
    token: a.jti, session: a.sid, subject: a.sub, key: a.jkt, certificate: a['x5t#S256'],
  }, a.issuer))), 'none');
  try {
    const {clients} = await ask('clients');
    fill('clients', clients.map((c) => item({...c, share: (100 * c.share).toFixed(1) + ' %'})), 'nobody has come yet');
  } catch (e) {
    if (e.status !== 404) throw e;
    fill('clients', [], e.message);
  }
}

let rights = [];

async function comingIn() {
  let me;
  try {
    me = await ask('whoami');
  } catch (e) {
    if (e.status !== 401) throw e;
    find('login').hidden = false;
    if (token) throw e;
    return;
  }
  rights = me.rights;
  find('who').textContent = me.name + ': ' + rights.join(', ');
  find('login').hidden = true;
  find('message').hidden = true;
  const options = me.issuers.map((issuer) => Object.assign(document.createElement('option'), {textContent: issuer}));
  find('entry').issuer.replaceChildren(...options);
  for (const part of document.querySelectorAll('[data-right]')) part.hidden = !rights.includes(part.dataset.right);
  find('main').hidden = false;
  if (rights.includes('look')) await reading();
}

find('login').addEventListener('submit', trying(async () => {
  token = find('token').value.trim();
  await comingIn();
  find('token').value = '';
}));
find('find').addEventListener('submit', trying(searching));
find('entry').addEventListener('submit', trying(acting));
find('reload').addEventListener('click', trying(reading));
trying(comingIn)();
