# bash completion for ntp-server; goes to /usr/share/bash-completion/completions/ntp-server.

_ntp_server() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local settings='--config --listen --threads --http --log-level --log-format --log-requests --source'
    local command='' word i

    # The first word that is neither a flag nor a flag's value is the command.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --config | --listen | --threads | --http | --log-level | --log-format | --source) ((i++)) ;;
        -*) ;;
        *)
            command+=${command:+ }$word
            [[ $word == config || $word == ca ]] || break
            ;;
        esac
    done

    case $previous in
    --config | --socket | --ca)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        compopt -o filenames 2>/dev/null
        return
        ;;
    --log-level) word='error warning info debug' ;;
    --log-format) word='text json logfmt' ;;
    --threads) word='auto 0 1 2 4 8' ;;
    --http) word='off 127.0.0.1:9559 0.0.0.0:9559' ;;
    --listen) word='0.0.0.0 [::] 127.0.0.1' ;;
    --dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        compopt -o filenames 2>/dev/null
        return
        ;;
    --max-error | --timeout | --count | --source | --name) return ;;
    *)
        case $command in
        '') word="run healthcheck ctl query check config ca version $settings --version --help" ;;
        run | check) word="$settings --help" ;;
        config) word='show --help' ;;
        'config show') word="$settings --origin --help" ;;
        ca) word='init issue --help' ;;
        'ca init') word='--dir --name --help' ;;
        'ca issue') word='--dir --help' ;;
        healthcheck) word='--max-error --timeout --socket --config --help' ;;
        ctl) word='status tracking sources sourcestats selection activity waitsync --json --max-error --timeout --socket --config --help' ;;
        query) word='--count --json --nts --ca --timeout --help' ;;
        *) word='--help' ;;
        esac
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$word" -- "$current")
}

complete -F _ntp_server ntp-server
