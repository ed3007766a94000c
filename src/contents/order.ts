/** The order of an archive of ours: depth first, a folder before its content, names by their bytes. */

const SLASH = 0x2f

export function comparePaths(a: Buffer, b: Buffer): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const [left = 0, right = 0] = [a[i], b[i]]
    if (left !== right) return (left === SLASH ? -1 : left) - (right === SLASH ? -1 : right)
  }
  return a.length - b.length
}

/** Whether a path is the folder itself or lies below it. Everything lies in the empty one. */
export function isWithin(path: Buffer, folder: Buffer): boolean {
  if (folder.length === 0) return true
  if (path.length < folder.length || path.compare(folder, 0, folder.length, 0, folder.length) !== 0) return false
  return path.length === folder.length || path[folder.length] === SLASH
}

/** First component. */
export function labelOf(path: Buffer): Buffer {
  const cut = path.indexOf(SLASH)
  return cut < 0 ? path : path.subarray(0, cut)
}
