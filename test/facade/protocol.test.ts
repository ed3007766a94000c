import { facadeSuite } from '../suites/facade.ts'
import { openWorld, saveStandard } from './world.ts'

facadeSuite('JSON-RPC over a fake engine', async () => {
  const world = await openWorld()
  saveStandard(world)
  return {
    url: world.server.url,
    token: world.token,
    folder: world.folder,
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  }
})
