import { randomUUID } from 'node:crypto';

/** Fields of protobuf's wire format: bytes and texts with their length, and times of 8 bytes. */
function field(number: number, value: Buffer | string | bigint): Buffer {
  if (typeof value === 'bigint') {
    const fixed = Buffer.alloc(9);
    fixed.writeUInt8((number << 3) | 1);
    fixed.writeBigUInt64LE(value, 1);
    return fixed;
  }
  const bytes = Buffer.from(value);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; bytes.length === 0 || rest > 0; rest = Math.floor(rest / 128)) {
    bytes.push((rest % 128) + (rest >= 128 ? 128 : 0));
  }
  return Buffer.from(bytes);
}

/** A trace of one span, `step 0`, and so many within it, as OTLP's ExportTraceServiceRequest has it. */
export function largeTrace(steps: number): { id: string; message: Buffer } {
  const id = randomUUID().replaceAll('-', '');
  const begun = BigInt(Date.now()) * 1_000_000n;
  const idOf = (step: number) => Buffer.from((step + 1).toString(16).padStart(16, '0'), 'hex');
  const spans = Array.from({ length: steps + 1 }, (_, step) =>
    field(
      2,
      Buffer.concat([
        field(1, Buffer.from(id, 'hex')),
        field(2, idOf(step)),
        ...(step === 0 ? [] : [field(4, idOf(0))]),
        field(5, `step ${step}`),
        field(7, begun + BigInt(step) * 1000n),
        field(8, begun + BigInt(step === 0 ? steps + 1 : step + 1) * 1000n),
      ]),
    ),
  );
  const service = Buffer.concat([field(1, 'service.name'), field(2, field(1, 'console-test'))]);
  return { id, message: field(1, Buffer.concat([field(1, field(1, service)), field(2, Buffer.concat(spans))])) };
}
