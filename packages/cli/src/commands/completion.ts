/** `weighlock completion bash|zsh|fish`: a script to source, made from the commands themselves. */
import type { Command } from "commander"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"

export function completionCommand(program: Command, io: Io): void {
  program
    .command("completion <shell>")
    .description("print a completion script: bash, zsh or fish")
    .action((shell: string) => {
      const words = wordsOf(program, [])
      if (shell === "bash") io.stdout.write(bash(words))
      else if (shell === "zsh") io.stdout.write(`autoload -U +X bashcompinit && bashcompinit\n${bash(words)}`)
      else if (shell === "fish") io.stdout.write(fish(words))
      else throw usage(`no completion for ${JSON.stringify(shell)}`, "write bash, zsh or fish")
    })
}

interface Words {
  /** `registry serve` */
  readonly path: string
  readonly next: readonly string[]
}

function wordsOf(command: Command, path: readonly string[]): Words[] {
  const next = [
    ...command.commands.map((sub) => sub.name()),
    ...command.options.flatMap(({ long }) => (long == null ? [] : [long])),
  ]
  return [{ path: path.join(" "), next }, ...command.commands.flatMap((sub) => wordsOf(sub, [...path, sub.name()]))]
}

function bash(words: readonly Words[]): string {
  const cases = words.map(({ path, next }) => `    "${path}") words="${next.join(" ")}" ;;`)
  return `_weighlock() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) case " ${words.map(({ path }) => path.replaceAll(" ", "/")).join(" ")} " in *" \${path:+\${path// //}/}$word "*) path="\${path:+$path }$word" ;; esac ;; esac
  done
  case "$path" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -F _weighlock weighlock
`
}

function fish(words: readonly Words[]): string {
  return words
    .map(({ path, next }) => {
      const condition = path === "" ? "__fish_use_subcommand" : `__fish_seen_subcommand_from ${path.split(" ").at(-1)}`
      return `complete -c weighlock -n "${condition}" -a "${next.join(" ")}"\n`
    })
    .join("")
}
