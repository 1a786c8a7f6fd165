import { expect, it } from 'vitest';
import { bytesOf, extentOf, failureOf, hostOf, piecesOf, summaryOf } from './story';
import { piece, span, tags, traceOf } from './trace.fixture';

const UUID = '62aae9f1-3c59-4def-ad65-2541f59cbca0';
const SEED = `10.0.0.1-node-7-${UUID}-seed`;
const PEER = `fd00::1-node-8-${UUID}`;

it('knows the host of a peer by its id', () => {
  expect([SEED, PEER, 'strange'].map(hostOf)).toEqual(['node-7', 'node-8', 'strange']);
});

it('says where each piece came from, and when it began', () => {
  const logs = [piece(1, 900, 0.1, PEER), piece(0, 500, 0.2, SEED), piece(2, 950, 0.1)];
  const pieces = piecesOf(span('download', '', 0, 1000, { logs }));
  expect(pieces.map(({ number, source, start }) => [number, source, start])).toEqual([
    [0, 'seed', 300],
    [1, 'peer', 800],
    [2, 'origin', 850],
  ]);
});

it('counts bytes once, and what a seed fetched for a pull not as the pull’s', () => {
  const proxy = span('proxy', '', 0, 1000, {
    tags: tags({ 'http.response.body.size': 200, 'dragonfly.local': false }),
  });
  const download = span('download', 'proxy', 0, 1000, { logs: [piece(0, 5, 1, SEED), piece(1, 5, 1, PEER)] });
  const seeds = span('seeds', 'download', 0, 1000, { operationName: 'download', logs: [piece(0, 5, 1)] });
  expect(bytesOf(traceOf(proxy, download, seeds))).toEqual({ origin: 0, seed: 100, peer: 100, local: 0 });
});

it('counts what was here already as local', () => {
  const proxy = span('proxy', '', 0, 9, { tags: tags({ 'http.response.body.size': 7, 'dragonfly.local': true }) });
  expect(bytesOf(traceOf(proxy)).local).toBe(7);
});

it('tells a trace in short, and reads spans that are each other’s parents', () => {
  const failed = tags({ error: true, 'otel.status_description': 'no route', 'dragonfly.peer.id': PEER });
  const strange = traceOf(
    span('a', 'b', 5, 20, { operationName: 'download', tags: failed }),
    span('b', 'a', 10, 5, { operationName: 'download', tags: tags({ 'http.url': '/x' }) }),
  );
  expect(summaryOf(strange)).toMatchObject({
    subject: '/x',
    start: 5,
    duration: 20,
    spans: 2,
    failed: 1,
    hosts: ['node-8'],
  });
  expect(strange.spans.map(failureOf)).toEqual(['no route', undefined]);
  const refused = span('proxy', '', 0, 1, { tags: tags({ 'http.response.status_code': 404 }) });
  expect(summaryOf(traceOf(refused)).failed).toBe(1);
  expect(extentOf(traceOf())).toEqual({ start: 0, end: 0 });
});
