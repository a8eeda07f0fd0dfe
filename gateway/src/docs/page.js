// Shows the OpenAPI document and produces one record. Text from the document and from answers enters the page as text only.
'use strict';

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function schemaName(schema) {
  if (!schema) return '';
  if (schema.$ref) return schema.$ref.split('/').pop();
  if (schema.oneOf) return schema.oneOf.map(schemaName).join(' or ');
  const type = Array.isArray(schema.type) ? schema.type.join(' or ') : schema.type || 'any';
  return type.startsWith('array') && schema.items ? 'list of ' + schemaName(schema.items) : type;
}

function rows(caption, header, lines) {
  const table = element('table');
  table.append(element('caption', caption));
  const head = table.createTHead().insertRow();
  for (const cell of header) head.append(element('th', cell));
  const body = table.createTBody();
  for (const line of lines) {
    const row = body.insertRow();
    for (const cell of line) row.append(element('td', cell));
  }
  return table;
}

function bodies(content) {
  return Object.entries(content || {}).map(([type, media]) => type + (media.schema ? ' (' + schemaName(media.schema) + ')' : '')).join(', ');
}

function operation(method, path, it) {
  const details = element('details');
  const summary = element('summary');
  summary.append(element('code', method.toUpperCase(), 'method ' + method), ' ', element('code', path), ' ', element('span', it.summary || ''));
  details.append(summary);
  if (it.description) details.append(element('p', it.description));
  if (it.parameters && it.parameters.length) {
    details.append(rows('Parameters', ['name', 'in', 'type', 'meaning'],
      it.parameters.map((p) => [p.name + (p.required ? ' *' : ''), p.in, schemaName(p.schema), p.description || ''])));
  }
  if (it.requestBody) {
    details.append(element('p', 'Body: ' + [it.requestBody.description, bodies(it.requestBody.content)].filter(Boolean).join(': ')));
  }
  details.append(rows('Answers', ['status', 'meaning', 'body'],
    Object.entries(it.responses).map(([status, r]) => [status, r.description, bodies(r.content)])));
  return details;
}

function schema(name, it) {
  const details = element('details');
  const summary = element('summary');
  summary.append(element('code', name), ' ', element('span', it.description || ''));
  details.append(summary);
  const required = it.required || [];
  details.append(rows('Members', ['name', 'type', 'meaning'], Object.entries(it.properties || {}).map(
    ([member, m]) => [member + (required.includes(member) ? ' *' : ''), schemaName(m), m.description || ''])));
  return details;
}

async function show() {
  const response = await fetch('/openapi.json');
  if (!response.ok) throw new Error('openapi.json: HTTP ' + response.status);
  const api = await response.json();
  document.getElementById('title').textContent = api.info.title + ' ' + api.info.version;
  document.getElementById('description').textContent = api.info.description || '';
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, it] of Object.entries(item)) {
      const tag = (it.tags && it.tags[0]) || 'other';
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(method, path, it));
    }
  }
  const main = document.getElementById('paths');
  main.replaceChildren();
  for (const [tag, operations] of groups) main.append(element('h2', tag), ...operations);
  const schemas = Object.entries((api.components && api.components.schemas) || {});
  main.append(element('h2', 'bodies'), ...schemas.map(([name, it]) => schema(name, it)));
}

async function produce(event) {
  event.preventDefault();
  const answer = document.getElementById('answer');
  const topic = document.getElementById('topic').value;
  const key = document.getElementById('key').value;
  const button = document.getElementById('send');
  button.disabled = true;
  answer.textContent = '…';
  try {
    const query = key === '' ? '' : '?key=' + encodeURIComponent(key);
    const response = await fetch('/topics/' + encodeURIComponent(topic) + query, {
      method: 'POST',
      headers: { 'Content-Type': 'text/plain; charset=utf-8' },
      body: document.getElementById('body').value,
    });
    answer.textContent = 'HTTP ' + response.status + '\n' + (await response.text());
  } catch (error) {
    answer.textContent = String(error);
  } finally {
    button.disabled = false;
  }
}

document.getElementById('try').addEventListener('submit', produce);
show().catch((error) => { document.getElementById('paths').textContent = String(error); });
