import { Command as Parser, CommanderError } from 'commander';
import type { Args, Command, Flag } from './command.ts';
import { parseGoFlags } from './go_flags.ts';
import { unknownFlag } from './unknown_flag.ts';

/** Parses a command's arguments, or returns its help if they ask for it. */
export function parse(
  name: string,
  command: Command,
  argv: readonly string[],
): Args | { help: string } {
  let help = '';
  const parser = createParser(name, command).configureOutput({
    writeOut: (text) => (help += text),
  });
  if (command.goFlags) {
    const args = parseGoFlags(command.flags, argv);
    if (args !== 'help') return args;
    parser.outputHelp();
    return { help };
  }
  try {
    parser.parse(withTexts(command.flags, argv), { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.code === 'commander.helpDisplayed')
      return { help };
    throw error;
  }
  const given = command.flags.map(({ name: flag }) => [flag, valueOf(parser, flag)] as const);
  const flags = Object.fromEntries(given.filter(([, value]) => value !== undefined));
  return { flags, ...sortRest(parser.args, command) };
}

/** Every flag's value is optional and unknown flags are allowed, so that all errors are reported together. */
function createParser(
  name: string,
  { summary, details, operands, flags, examples }: Command,
): Parser {
  const parser = new Parser(`greeter ${name}`)
    .description(details ? `${summary}\n\n${details}` : summary)
    .usage(operands ? `[flags] ${operands}` : '[flags]')
    .optionsGroup('Flags:')
    .helpOption('-h, --help', 'show this')
    .allowUnknownOption()
    .allowExcessArguments()
    .exitOverride()
    .configureHelp({
      optionTerm: (option) => option.flags.replace(/ \[(.*)\]/, ' $1'),
      // The flags of serve leave 38 of 80 columns for their help.
      minWidthToWrap: 30,
    })
    .addHelpText('after', `\nExamples:\n${exampleLines(examples)}`);
  for (const flag of flags) {
    const value = flag.value ? ` [${flag.value}]` : '';
    parser.option(`--${flag.name}${value}`, flag.help);
  }
  return parser;
}

/** commander takes an argument that starts with a dash for a flag, unless it is joined to its flag with `=`. */
function withTexts(known: readonly Flag[], argv: readonly string[]): string[] {
  const rest = [...argv];
  const joined: string[] = [];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === '--') return [...joined, arg, ...rest];
    const takesNext =
      rest.length > 0 && known.some(({ name, isText }) => isText && arg === `--${name}`);
    joined.push(takesNext ? `${arg}=${rest.shift()}` : arg);
  }
  return joined;
}

function valueOf(parser: Parser, flag: string): string | true | undefined {
  const option = parser.options.find(({ long }) => long === `--${flag}`);
  return option && parser.getOptionValue(option.attributeName());
}

function exampleLines(examples: Command['examples']): string {
  return examples.map(([args, does]) => `  # ${does}\n  greeter ${args}`).join('\n');
}

function sortRest(rest: readonly string[], command: Command): Pick<Args, 'operands' | 'problems'> {
  const operands: string[] = [];
  const problems: string[] = [];
  const names = command.flags.map(({ name }) => name);
  rest.forEach((arg, index) => {
    if (arg.startsWith('-')) problems.push(unknownFlag(arg, names));
    else if (command.operands && operands.length === 0) operands.push(arg);
    // The argument after an unknown flag may be meant as its value.
    else if (!/^-[^=]*$/.test(rest[index - 1] ?? '')) {
      problems.push(`"${arg}": unexpected argument`);
    }
  });
  return { operands, problems };
}
