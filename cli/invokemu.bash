# Completion for invokemu in bash.
_invokemu() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} group='' verb='' i
    local groups='users invite reset links sessions queue audit models backup restore import legacy doctor migrate help'
    local options='--root --database --json --help'

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -*) ;;
            *) if [[ -z $group ]]; then group=${COMP_WORDS[i]}; elif [[ -z $verb ]]; then verb=${COMP_WORDS[i]}; fi ;;
        esac
    done
    case $prev in
        --root | --models) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
        --database | --media) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --status) mapfile -t COMPREPLY < <(compgen -W 'pending in_progress completed failed canceled' -- "$cur"); return ;;
        --result) mapfile -t COMPREPLY < <(compgen -W 'ok refused' -- "$cur"); return ;;
        --format) mapfile -t COMPREPLY < <(compgen -W 'text json jsonl csv' -- "$cur"); return ;;
        --email | --name | --user | --owner | --transfer-to | --session | --url | --search | --since | --until | --limit | --action | --hash) return ;;
    esac
    if [[ -z $group && $cur != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$groups" -- "$cur")
        return
    fi
    case $group/$verb in
        users/) mapfile -t COMPREPLY < <(compgen -W 'add list mod del' -- "$cur"); return ;;
        links/) mapfile -t COMPREPLY < <(compgen -W 'list end' -- "$cur"); return ;;
        sessions/) mapfile -t COMPREPLY < <(compgen -W 'list end' -- "$cur"); return ;;
        queue/) mapfile -t COMPREPLY < <(compgen -W 'status list pause resume cancel clear prune' -- "$cur"); return ;;
        models/) mapfile -t COMPREPLY < <(compgen -W 'list remove restore scan tokenizer' -- "$cur"); return ;;
        users/add) options+=' --email --name --admin --must-change --no-must-change --password-stdin --allow-weak' ;;
        users/list) options+=' --search' ;;
        users/mod) options+=' --email --name --admin --no-admin --active --inactive --must-change --no-must-change --password-stdin --allow-weak' ;;
        users/del) options+=' --email --transfer-to --force' ;;
        invite/*) options+=' --email --name --admin --url' ;;
        reset/*) options+=' --email --url' ;;
        sessions/list) options+=' --email' ;;
        sessions/end) options+=' --email --session' ;;
        queue/list) options+=' --user --status --limit' ;;
        queue/cancel) options+=' --user --all' ;;
        queue/clear) options+=' --force' ;;
        audit/*) options+=' --action --result --user --search --since --until --limit --format' ;;
        models/scan) options+=' --models' ;;
        models/tokenizer) options+=' --hash' ;;
        backup/*) options+=' --copy' ;;
        restore/*) options+=' --force' ;;
        import/*) options+=' --dry-run --owner --copy --media' ;;
        legacy/*) options+=' --owner' ;;
        doctor/*) options+=' --fix --force --media' ;;
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    elif [[ $group/$verb == models/tokenizer ]]; then
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    elif [[ $group == backup || $group == restore || $group == import ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}
complete -o filenames -F _invokemu invokemu
