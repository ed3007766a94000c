export interface SqliteDatabase {
  type: 'sqlite'
  path: string
  name?: string
  critical?: boolean
}

/** A database of a server that the server's settings file names, or, where the client is the host itself, says where it is. */
export interface ServerDatabase {
  type: 'mysql' | 'postgresql'
  server?: string
  host?: string
  port?: number
  socket?: string
  user?: string
  passwordEnv?: string
  passwordFile?: string
  /** Told as `***`, never itself; `***` sent back keeps the one that is stored. */
  password?: string
  tls?: { ca?: string; name?: string }
  database: string
  name?: string
  critical?: boolean
  tables?: { include?: string[]; exclude?: string[]; structureOnly?: string[] }
  consistency?: 'snapshot' | 'table'
  restarts?: number
}

export type Database = SqliteDatabase | ServerDatabase

/** Whether a database could be backed up now. */
export interface DatabaseTest {
  name: string
  type: 'mysql' | 'postgresql'
  ok: boolean
  server: string | null
  consistency: 'snapshot' | 'table' | null
  tables: number
  rows: number
  bytes: number
  keyless: string[]
  exceptions: { kind: string; name: string; why: string }[]
  lacks: { kind: string; name: string; why: string }[]
  error: { code: string; message: string; hint: string } | null
}
