import { BackupError } from '../../lib/errors.ts'
import type { Backend } from '../backend.ts'

export class RemoteBackend {
  constructor(url: string, _token: string, _reach: readonly string[]) {
    throw new BackupError('UNREACHABLE', url)
  }
}
export type Placeholder = Backend
