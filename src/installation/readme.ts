/** `installation/README.txt`: for whoever finds the archive and has never heard of the program that made it. */

const GET: Readonly<Record<string, string>> = {
  zip: `Get restore.mjs out of the archive first, with whatever opens ZIP archives. On the command line:

    unzip -j BACKUP.zip installation/restore.mjs

If the archive is in several parts (.z01, .z02, ... .zip), use 7-Zip, which reads them together:

    7z e BACKUP.zip installation/restore.mjs

Any ZIP program restores files and folders too, without this script; it does not compare them with
their digests.`,
  jpa: `Get restore.mjs out of the archive first. It is the same in every backup of this release; on a
machine that has Ratchet:

    ratchet script > restore.mjs

Programs for the JPA format of Akeeba restore files and folders too, without this script; they do not
compare them with their digests.`,
}

export const restoreReadme = (format: string): string => `This is a backup made by Ratchet (npm package ratchet-backup).

TO RESTORE IT you need Node.js 20 or newer (https://nodejs.org) and nothing else.

${GET[format] ?? ''}

Then, with all parts of the archive in one folder:

    node restore.mjs BACKUP.${format} --to NEW-FOLDER

It compares every file with the digest that was taken when it was backed up, names what is damaged or
missing, and writes nothing outside NEW-FOLDER. If it is interrupted, the same command goes on where it was.
Databases of SQLite come back as the files they are; those of servers as SQL in databases/, and restore.mjs
says how to load each by its own client. "node restore.mjs --help" tells the rest.

WHAT IS IN THE ARCHIVE
    installation/manifest.json    what was backed up, when, and what was left out
    installation/manifest.jsonl   one line for each entry: size, time, owner, SHA-256
    everything else               the files, below one folder for each place they came from
`
