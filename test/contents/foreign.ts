import zlib from 'node:zlib'

/** A ZIP archive by hand: files in the order given, no folders, no manifest. */
export function buildZip(files: Readonly<Record<string, string>>): Buffer {
  const locals: Buffer[] = []
  const records: Buffer[] = []
  let offset = 0
  for (const [name, content] of Object.entries(files)) {
    const [label, data] = [Buffer.from(name), Buffer.from(content)]
    const facts = Buffer.alloc(26)
    facts.writeUInt16LE(20, 0)
    facts.writeUInt16LE(0x5821, 8)
    facts.writeUInt32LE(zlib.crc32(data), 10)
    facts.writeUInt32LE(data.length, 14)
    facts.writeUInt32LE(data.length, 18)
    facts.writeUInt16LE(label.length, 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), facts, label, data])
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE(offset, 10)
    records.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), facts, tail, label]))
    locals.push(local)
    offset += local.length
  }
  const directory = Buffer.concat(records)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(records.length, 8)
  end.writeUInt16LE(records.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...locals, directory, end])
}
