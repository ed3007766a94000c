import { serverDatabasesOf, testAll } from '../../engine/database-tests.ts'
import { method } from '../facade.ts'
import * as s from './database-schemas.ts'
import { checkPlaces } from './places.ts'
import { requireProfile } from './resolve.ts'

/** Databases of servers. A profile names them: no call takes an address (S-SSRF-1). */
export const databases = {
  testDatabase: method({
    role: 'operator',
    summary: 'Whether databases of a profile could be backed up now: connection, rights, consistency, size.',
    params: s.testDatabase,
    result: s.databaseTests,
    async run(services, { profile, database }, call) {
      requireProfile(services, profile, call)
      const chosen = serverDatabasesOf({ id: profile, databases: services.profiles.databases(profile) }, database)
      checkPlaces(services, { databases: chosen })
      return { databases: await testAll(chosen, services.databases) }
    },
  }),
}
