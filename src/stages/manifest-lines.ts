import { encodeManifestLine, type TableRows } from '../archive/manifest.ts'
import type { StageContext } from '../engine/stage.ts'
import type { Entry } from '../source/source.ts'
import type { Taken } from '../sink/sink.ts'

/** The manifest's line about an entry that was stored. */
export function storeEntry(
  ctx: StageContext,
  entry: Entry,
  taken: Extract<Taken, { stored: true }>,
  rows?: TableRows,
): void {
  const { stat } = entry
  const facts = entry.database?.facts ?? null
  writeLine(
    ctx,
    encodeManifestLine({
      path: entry.path,
      type: entry.kind,
      size: taken.size,
      mtimeNs: taken.mtimeNs,
      mode: stat.mode,
      uid: stat.uid,
      gid: stat.gid,
      digest: taken.digest,
      ...(entry.xattrs === undefined ? {} : { xattrs: entry.xattrs }),
      ...(stat.nlink > 1 && entry.kind === 'file' ? { group: `${stat.dev}:${stat.ino}` } : {}),
      ...(facts === null ? {} : { database: facts }),
      ...(rows === undefined ? {} : { rows }),
      ...(entry.link === undefined ? {} : { link: entry.link }),
    }),
  )
}

/** The manifest's line about a path that was left out. */
export function storeOmission(ctx: StageContext, path: Buffer, omitted: string): void {
  writeLine(ctx, encodeManifestLine({ path, omitted }))
}

function writeLine(ctx: StageContext, line: string): void {
  ctx.file('manifest').write(Buffer.from(line + '\n', 'utf8'))
}
