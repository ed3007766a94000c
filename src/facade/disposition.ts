/** Content-Disposition of RFC 6266: to be saved, under a name that can end no header and name no folder. */
export function attachment(name: string): string {
  const base = name.replace(/^.*[/\\]/s, '')
  const plain = base.replace(/[^\x20-\x7e]|["\\%;]/g, '_')
  const extended = encodeURIComponent(base.toWellFormed()).replace(/['()*]/g, percent)
  const named = plain === '' ? 'download' : plain
  return plain === base
    ? `attachment; filename="${named}"`
    : `attachment; filename="${named}"; filename*=UTF-8''${extended}`
}

const percent = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
